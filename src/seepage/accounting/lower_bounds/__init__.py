"""What scores of canaries show of epsilon: lower bounds that hold at their level, and a fit.

`api` has the public function; `steinke`, `f_dp` and `multi_run` are the ways to a bound,
`scores` says which scores are refused, `gdp_estimate` is an estimate and no bound.
"""
