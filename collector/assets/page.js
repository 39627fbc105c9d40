// What comes live, keys, sorting, the theme. Pages work without it.

const $ = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// Theme: the choice is a cookie, so the server draws the right one at once.
const theme = $("#theme");
const setTheme = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme;
  const next = (now === "auto" ? dark : now === "dark") ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  document.cookie = `theme=${next}; path=/; max-age=31536000; samesite=strict`;
};
theme.hidden = false;
theme.addEventListener("click", setTheme);

const keys = $("#keys");
const help = $("#help");
help.hidden = false;
help.addEventListener("click", () => keys.showModal());

// Sorting: a click on a heading.
const value = (row, column) => {
  const cell = row.cells[column];
  return cell.dataset.sort === undefined ? cell.textContent.trim() : Number(cell.dataset.sort);
};
const compare = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
const makeSortable = (from) => {
  for (const table of all("table.data", from)) {
    all("thead th", table).forEach((heading, column) => {
      if (!heading.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = heading.getAttribute("aria-sort") !== "descending";
        all("th", table).forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = all("tbody tr", table);
        rows.sort((a, b) => compare(value(a, column), value(b, column)) * (down ? -1 : 1));
        $("tbody", table).append(...rows);
      });
    });
  }
};
makeSortable(document);

// Rows under j and k.
let current = null;
const rows = () => all("tbody tr, .timeline > li");
const move = (step) => {
  const list = rows();
  if (list.length === 0) return;
  const at = list.indexOf(current);
  const next = list[Math.min(Math.max(at + step, 0), list.length - 1)];
  if (current) current.classList.remove("current");
  current = next;
  current.classList.add("current");
  current.scrollIntoView({ block: "nearest" });
  const link = $("a[href]", current);
  if (link) link.focus({ preventScroll: true });
};

let paused = false;
let before = "";
const go = (link) => {
  if (link) location.assign(link.getAttribute("href"));
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const first = before;
  before = "";
  if (first === "g") return go($(`nav [data-go="${CSS.escape(event.key)}"]`));
  if (first === "v") return go($(`.views [data-view="${CSS.escape(event.key)}"]`));
  const windows = all("svg.strip a");
  const open = windows.findIndex((link) => $(".selected", link));
  switch (event.key) {
    case "/":
      event.preventDefault();
      $("#find").focus();
      break;
    case "?":
      keys.showModal();
      break;
    case "g":
    case "v":
      before = event.key;
      break;
    case "j":
      move(1);
      break;
    case "k":
      move(-1);
      break;
    case "t":
      setTheme();
      break;
    case "p":
      pause();
      break;
    case "[":
      go(windows[open - 1]);
      break;
    case "]":
      go(windows[open + 1]);
      break;
  }
});

// Live: parts of the page are fetched anew when something changed, at most every two seconds.
const live = $("#live");
const say = (state, text) => {
  live.hidden = false;
  live.dataset.state = state;
  live.textContent = text;
};
let alerts = 0;
let due = false;
let wait = null;
const refresh = async () => {
  wait = null;
  due = false;
  const parts = all("[data-live-part]");
  if (parts.length === 0) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const next = $(`[data-live-part="${part.dataset.livePart}"]`, fresh);
    if (!next || next.innerHTML === part.dataset.shown) continue;
    part.dataset.shown = next.innerHTML;
    // Where somebody reads or types, nothing moves.
    if (part.contains(document.activeElement) && document.activeElement.matches("input")) continue;
    part.replaceChildren(...next.childNodes);
    makeSortable(part);
    current = null;
  }
};
const changed = () => {
  if (paused) {
    due = true;
  } else if (wait === null) {
    wait = setTimeout(() => refresh().catch(() => {}), 2000);
  }
};
const tell = () => {
  if (paused) say("paused", due ? "paused, there is more" : "paused");
  else say("on", alerts === 0 ? "● live" : `● live, ${alerts} new ${alerts === 1 ? "alert" : "alerts"}`);
};
const pause = () => {
  if (!document.body.hasAttribute("data-live")) return;
  paused = !paused;
  if (!paused && due) changed();
  tell();
};
if (document.body.hasAttribute("data-live")) {
  const events = new EventSource("/api/v1/events");
  events.addEventListener("watching", tell);
  events.addEventListener("alert", () => {
    alerts += 1;
    changed();
    tell();
  });
  for (const name of ["evidence", "windows", "missed"]) {
    events.addEventListener(name, () => {
      changed();
      if (paused) tell();
    });
  }
  events.addEventListener("error", () => say("lost", "○ not connected"));
  addEventListener("pagehide", () => events.close());
}
