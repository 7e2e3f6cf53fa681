"""Priors: generators under different priors (Singh et al. 2019), at the prior and between codes."""
