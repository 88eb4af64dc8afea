"""The only room where training, attacks and defenses meet: it runs an audit and judges it."""
