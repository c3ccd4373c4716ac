"use strict";
// The page is whole without this. It adds: configurations on hover, focus and touch, hiding codings, sorting.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const find = (id) => document.getElementById(id);
  document.documentElement.classList.add("scripted");

  const block = find("trials"), picture = find("front-picture"), about = find("about");
  const hidden = new Set();

  function make(name, text, parent) {
    const made = document.createElement(name);
    made.textContent = text;
    parent.append(made);
    return made;
  }

  // inside a frame without an address, such as MLflow's, a link to a section would lead to the frame's owner
  all("nav a").forEach((link) => link.addEventListener("click", (event) => {
    event.preventDefault();
    const section = find(link.getAttribute("href").slice(1));
    section.setAttribute("tabindex", "-1");
    section.focus({ preventScroll: true });
    section.scrollIntoView();
  }));

  if (block && picture) {
    const { names, values, trials } = JSON.parse(block.textContent);
    const members = all(".members > g", picture), faint = all(".faint > use", picture);
    const marks = [...members, ...faint];  // in the order of trials
    const hint = about.firstElementChild;
    let chosen = -1, pinned = false;

    function choose(at) {
      if (at === chosen) return;
      if (chosen >= 0) marks[chosen].classList.remove("chosen");
      chosen = at;
      about.replaceChildren();
      if (at < 0) { about.append(hint); return; }
      marks[at].classList.add("chosen");
      const [, , , , told, isMember, ...pairs] = trials[at];
      make("h3", told.charAt(0).toUpperCase() + told.slice(1) + (isMember ? ", on the front" : ""), about);
      const list = make("dl", "", about);
      list.className = "values";
      for (let i = 0; i < pairs.length; i += 2) {
        const row = make("div", "", list);
        make("dt", names[pairs[i]], row);
        make("dd", values[pairs[i + 1]], row);
      }
    }

    function nearest(event, reach) {
      const box = picture.getBoundingClientRect();
      let best = -1, least = reach * reach;
      trials.forEach(([, coding, x, y, , isMember], at) => {
        if (hidden.has(String(coding))) return;
        const dx = box.left + box.width * x / 100 - event.clientX;
        const dy = box.top + box.height * y / 100 - event.clientY;
        const far = (dx * dx + dy * dy) * (isMember ? 0.25 : 1);  // a member is what one looks for
        if (far < least) { least = far; best = at; }
      });
      return best;
    }

    const frame = picture.parentElement;
    frame.addEventListener("pointermove", (event) => {
      if (event.pointerType === "touch" || pinned) return;
      const at = nearest(event, 14);
      if (at >= 0) choose(at);
    });
    frame.addEventListener("pointerdown", (event) => {
      const at = nearest(event, event.pointerType === "touch" ? 28 : 14);
      pinned = at >= 0;  // stays until another is pressed, or Escape
      choose(at);
    });
    function goTo(member) {
      members.forEach((one) => one.setAttribute("tabindex", one === member ? "0" : "-1"));
      member.focus();
    }
    members.forEach((member, at) => {
      member.setAttribute("tabindex", at === 0 ? "0" : "-1");  // one stop for Tab, arrows go on from there
      member.addEventListener("focus", () => { pinned = true; choose(at); });
      member.addEventListener("keydown", (event) => {
        const shown = members.filter((one) => !one.classList.contains("gone"));
        const here = shown.indexOf(member), last = shown.length - 1;
        const to = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: last };
        if (event.key === "Escape") { pinned = false; choose(-1); member.blur(); }
        if (!(event.key in to)) return;
        event.preventDefault();
        goTo(shown[Math.min(Math.max(to[event.key], 0), last)]);
      });
    });

    all(".legend button").forEach((button) => button.addEventListener("click", () => {
      const coding = button.dataset.coding, show = hidden.has(coding);
      if (show) hidden.delete(coding); else hidden.add(coding);
      button.setAttribute("aria-pressed", String(show));
      all(`svg [data-coding="${coding}"]`).forEach((one) => one.classList.toggle("gone", !show));
      if (chosen >= 0 && hidden.has(String(trials[chosen][1]))) { pinned = false; choose(-1); }
      const first = members.filter((one) => !one.classList.contains("gone"))[0];
      members.forEach((one) => one.setAttribute("tabindex", one === first ? "0" : "-1"));
    }));
  }

  const table = find("members-table");
  if (!table) return;
  all("th button", table).forEach((button) => button.addEventListener("click", () => {
    const head = button.closest("th"), at = Number(button.dataset.sort);
    const up = head.getAttribute("aria-sort") !== "ascending";
    all("th", table).forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (body) => body.rows[0].cells[at].dataset.value;
    const isNumber = head.classList.contains("number");
    const compare = (a, b) => {
      const one = value(a), other = value(b);
      if (one === "" || other === "") return (one === "") - (other === "");  // what is not there comes last
      const order = isNumber ? Number(one) - Number(other) : one.localeCompare(other);
      return up ? order : -order;
    };
    table.append(...[...table.tBodies].sort(compare));
  }));
  find("only-front").addEventListener("change", (event) => {
    for (const body of table.tBodies) body.hidden = event.target.checked && body.dataset.front === "0";
  });
})();
