// What every page does. Each module enhances markup that works as plain links and says what it is by data attributes.
import { actByForms } from "./pages/actions.js";
import { fillForms } from "./pages/emit_form.js";
import { followKeys } from "./pages/keys.js";
import { keepLive } from "./pages/live.js";
import { drawMaps } from "./pages/map.js";
import { followSelection } from "./pages/selection.js";
import { filterAsTyped } from "./pages/search.js";
import { switchTheme } from "./pages/look.js";
import { tellTimes } from "./pages/times.js";

tellTimes();
switchTheme();
followKeys();
followSelection();
filterAsTyped();
actByForms();
drawMaps();
fillForms();
keepLive();
document.documentElement.dataset.ready = "";
document.dispatchEvent(new Event("onstage:ready"));
