// The page of a report.

import { startPage } from "./main.js";

startPage();
