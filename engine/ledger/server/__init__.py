"""The embedded store server. `supervisor` (start here) keeps one running on a data directory; `binary` finds its
program, `files` owns the directory, `process` and `guard` end it with us, `watermark` refuses writes in time."""
