"""What a probe's measurements say: scores and reasons, findings, and the limits of both. `probing.py` calls it.

* `judgement.py` holds measurements, scores and the scan's findings together, and ranks the images;
* `naming.py` makes the findings G001 to G008, `limits.py` the sentences on how to read them;
* `scan_weights.py` says what the scan's codes weigh, `wording.py` writes numbers as people say them.
"""
