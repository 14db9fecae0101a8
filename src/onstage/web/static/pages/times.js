// Times are told twice: how long ago in the text, the exact instant in the title. The server writes both; this keeps the first true.

const UNITS = [["d", 86_400], ["h", 3600], ["m", 60], ["s", 1]];
const EVERY_MS = 1000;

/** How long, as the server says it: `12s`, `4m 10s`, `3h 5m`. */
export function span(ms) {
  let rest = Math.floor(ms / 1000);
  if (!rest) return "now";
  const parts = [];
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count) parts.push(`${count}${unit}`);
  }
  return parts.slice(0, 2).join(" ");
}

function relative(then) {
  const away = Date.now() - then;
  const words = span(Math.abs(away));
  if (words === "now") return words;
  return away >= 0 ? `${words} ago` : `in ${words}`;
}

export function tellTimes() {
  const renew = () => {
    if (document.hidden) return;
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const words = relative(Date.parse(time.dateTime));
      if (time.textContent !== words) time.textContent = words;
    }
  };
  renew();
  setInterval(renew, EVERY_MS);
  document.addEventListener("onstage:refreshed", renew);
}
