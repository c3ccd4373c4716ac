"use strict";
// The page is whole without this, but for its pictures. It adds them, what links them, and sorting.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const find = (id) => document.getElementById(id);
  document.documentElement.classList.add("has-script");
  const { pictures, knee, names, values, trials } = JSON.parse(find("data").textContent);
  const about = find("about"), front = find("picture-front");
  const byNumber = new Map(trials.map((row) => [row[0], row])), members = trials.filter((row) => row[5]);
  const hidden = new Set(), views = [];
  let brushed = null, chosen = null, pinned = false;

  function make(name, text, parent) {
    const made = document.createElement(name);
    made.textContent = text;
    parent.append(made);
    return made;
  }

  const has = (view, name) => { try { view.signal(name); return true; } catch { return false; } };
  function tell(name, value) {
    for (const view of views) if (has(view, name)) view.signal(name, value).runAsync();
  }

  function pick() {
    const picked = hidden.size || brushed ? {} : null;
    if (picked) for (const [number, coding] of trials) {
      if (!hidden.has(coding) && (!brushed || brushed.has(number))) picked[number] = 1;
    }
    tell("picked", picked);
    for (const row of all("tbody[data-trial]")) row.classList.toggle("gone", Boolean(picked && !picked[row.dataset.trial]));
  }

  function choose(number) {
    if (number === chosen || (number !== null && !byNumber.has(number))) return;
    chosen = number;
    tell("chosen", number);
    for (const row of all("tbody[data-trial]")) row.classList.toggle("chosen", row.dataset.trial === String(number));
    about.replaceChildren();
    if (number === null) return;
    const [, , , , told, isMember, ...pairs] = byNumber.get(number);
    make("h3", told.charAt(0).toUpperCase() + told.slice(1) + (isMember ? ", on the front" : ""), about);
    const list = make("dl", "", about);
    list.className = "values";
    for (let i = 0; i < pairs.length; i += 2) {
      const row = make("div", "", list);
      make("dt", names[pairs[i]], row);
      make("dd", values[pairs[i + 1]], row);
    }
  }

  function csv(spec) {
    const rows = Object.values(spec.datasets || {}).flat();
    const columns = [...new Set(rows.flatMap(Object.keys))];
    const cell = (value) => (value === undefined || value === null ? "" : `"${String(value).replaceAll('"', '""')}"`);
    return [columns, ...rows.map((row) => columns.map((name) => row[name]))].map((row) => row.map(cell).join(",")).join("\n");
  }

  async function draw(name, spec) {
    const place = find(`picture-${name}`);
    const actions = { export: true, source: false, compiled: false, editor: false };
    const { view } = await vegaEmbed(place, spec, { renderer: "svg", actions, downloadFileName: name });
    views.push(view);
    const link = make("a", "Save as CSV", place.querySelector(".vega-actions"));
    link.download = `${name}.csv`;
    link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(csv(spec))}`;
    const trialOf = (item) => (item && item.datum && byNumber.has(item.datum.trial) ? item.datum.trial : null);
    view.addEventListener("mouseover", (event, item) => { if (!pinned && trialOf(item) !== null) choose(trialOf(item)); });
    view.addEventListener("click", (event, item) => { pinned = trialOf(item) !== null; if (pinned) choose(trialOf(item)); });
    if (has(view, "brush")) view.addSignalListener("brush", (_, { x, y }) => {
      const within = (value, [a, b]) => value >= Math.min(a, b) && value <= Math.max(a, b);
      brushed = x && y ? new Set(trials.filter((row) => within(row[2], x) && within(row[3], y)).map((row) => row[0])) : null;
      pick();
    });
  }

  (async () => {
    for (const [name, spec] of Object.entries(pictures)) await draw(name, spec);
    if (chosen === null) choose(knee);
    document.documentElement.classList.add("is-drawn");
  })();

  if (front) {
    front.tabIndex = 0;
    front.addEventListener("keydown", (event) => {
      const shown = members.filter((row) => !hidden.has(row[1])).map((row) => row[0]);
      const here = shown.indexOf(chosen), last = shown.length - 1;
      const to = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: last };
      if (event.key === "Escape") { pinned = false; choose(null); }
      if (!(event.key in to) || last < 0) return;
      event.preventDefault();
      pinned = true;
      choose(shown[Math.min(Math.max(to[event.key], 0), last)]);
    });
  }

  all(".legend button").forEach((button) => button.addEventListener("click", () => {
    const coding = Number(button.dataset.coding), show = hidden.has(coding);
    if (show) hidden.delete(coding); else hidden.add(coding);
    button.setAttribute("aria-pressed", String(show));
    pick();
  }));

  // inside a frame without an address, such as MLflow's, a link to a section would lead to the frame's owner
  all("nav a").forEach((link) => link.addEventListener("click", (event) => {
    event.preventDefault();
    const section = find(link.getAttribute("href").slice(1));
    section.setAttribute("tabindex", "-1");
    section.focus({ preventScroll: true });
    section.scrollIntoView();
  }));

  all("th button").forEach((button) => button.addEventListener("click", () => {
    const head = button.closest("th"), table = head.closest("table"), at = head.cellIndex;
    const up = head.getAttribute("aria-sort") !== "ascending";
    all("th", head.parentElement).forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (body) => { const cell = body.rows[0].cells[at]; return cell.dataset.value ?? cell.textContent.trim(); };
    const number = (text) => Number(text.replaceAll(",", "").replace("%", ""));
    const isNumber = head.classList.contains("number");
    table.append(...[...table.tBodies].sort((a, b) => {
      const one = value(a), other = value(b);
      if (one === "" || other === "") return (one === "") - (other === "");  // what is not there comes last
      const order = isNumber ? number(one) - number(other) : one.localeCompare(other);
      return up ? order : -order;
    }));
  }));
  const only = find("only-front");
  if (only) only.addEventListener("change", () => {
    for (const body of all("#members-table > tbody[data-beside]")) body.hidden = only.checked;
  });
})();
