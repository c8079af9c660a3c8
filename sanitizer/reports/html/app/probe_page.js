// The page of a report with a gradient probe.

import { startPage } from "./main.js";
import { pickFrom } from "./probe_selection.js";
import { showPicked, startProbe } from "./probe.js";

startPage({ startProbe, showPicked, pickFrom });
