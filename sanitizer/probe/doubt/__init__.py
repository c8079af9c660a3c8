"""How likely each label row is wrong: calibrated on the dataset itself, with errors that are put into its labels.

A network's outputs do not depend on the labels. So a row can be altered on paper, and compared with the same outputs
as the row itself:

* `twins.py` makes altered rows, `mirror.py` makes outputs less noisy, `features.py` compares rows with outputs;
* `alike.py` finds the images that look alike;
* `calibrate.py` learns from rows and twins how likely a row is wrong, and `choose.py` names rows;
* `missing.py` says how likely a predicted object lacks a label.
"""
