"""Load over HTTP: `apportion bench load`, and a locustfile."""
