// Sorting, filtering and hovering. Everything on the page can be read without this.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const form = document.getElementById("filter"), table = document.getElementById("claims");
  const FIELDS = ["text", "verdict", "suite", "model"], NUMBERS = ["estimate", "n", "evidence"];
  const rows = table ? all("tbody tr", table) : [];
  const sectionOf = new Map(rows.map((row) => [row, document.getElementById(row.dataset.for)]));
  const isClaim = (row) => !("outside" in row.dataset); // faults outside a suite's claims have a row, but are no claim
  const claims = rows.filter(isClaim).length;
  const texts = new Map(rows.map((row) => [row, `${row.textContent} ${row.dataset.words ?? ""}`.toLowerCase()]));
  let order = { by: "", down: false };
  document.documentElement.classList.add("js");

  // -- the table: its state is the part of the address behind "#", so that a view can be shared ----------------------
  function keyOf(row, by) {
    if (NUMBERS.includes(by)) return row.dataset[by] === undefined ? null : Number(row.dataset[by]);
    return by === "verdict" ? row.dataset.verdict : row.querySelector("td.c-" + by).textContent.toLowerCase();
  }

  function compare(a, b) {
    const [x, y] = [keyOf(a, order.by), keyOf(b, order.by)];
    if (x === null || y === null) return (x === null) - (y === null); // what was not measured stands last, both ways
    const found = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
    return order.down ? -found : found;
  }

  const sortText = () => (order.down ? "-" : "") + order.by;
  const orderOf = (text) => ({ by: text.replace(/^-/, ""), down: text.startsWith("-") });

  function apply() {
    const chosen = Object.fromEntries(FIELDS.map((name) => [name, form.elements[name].value]));
    const wanted = chosen.text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = ["verdict", "suite", "model"].every((name) => !chosen[name] || row.dataset[name] === chosen[name]);
      row.hidden = !(fits && wanted.every((word) => texts.get(row).includes(word)));
      sectionOf.get(row).hidden = row.hidden;
      shown += !row.hidden && isClaim(row);
    }
    for (const suite of all("section.suite")) suite.hidden = !suite.querySelector("details.claim:not([hidden])");
    table.tBodies[0].append(...(order.by ? [...rows].sort(compare) : rows));
    for (const head of all("th[data-sort]", table)) {
      if (head.dataset.sort === order.by) head.ariaSort = order.down ? "descending" : "ascending";
      else head.removeAttribute("aria-sort");
    }
    form.elements.sort.value = sortText();
    form.querySelector("output").value = shown === claims ? `${shown} claims` : `${shown} of ${claims} claims`;
  }

  function remember() {
    const state = new URLSearchParams();
    for (const name of FIELDS) if (form.elements[name].value) state.set(name, form.elements[name].value);
    if (order.by) state.set("sort", sortText());
    history.replaceState(null, "", "#" + state);
    apply();
  }

  function restore() {
    const hash = location.hash.slice(1);
    if (hash && !hash.includes("=")) return reveal(decodeURIComponent(hash));
    const state = new URLSearchParams(hash), sort = state.get("sort") ?? "";
    for (const name of FIELDS) form.elements[name].value = state.get(name) ?? "";
    order = orderOf(sort);
    if (!all("th[data-sort]", table).some((head) => head.dataset.sort === order.by)) order.by = "";
    apply();
    if (hash && state.has("verdict")) table.closest("section").scrollIntoView({ behavior: "instant" });
  }

  function reveal(id) {
    const section = document.getElementById(id);
    if (!section) return;
    if (section.hidden) { form.reset(); apply(); } // a link to a claim goes before a filter
    if (section.matches("details")) section.open = true;
    section.scrollIntoView({ behavior: "instant" });
  }

  if (form && table) {
    for (const head of all("th[data-sort]", table)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const by = head.dataset.sort, first = NUMBERS.includes(by); // numbers begin with the largest
        if (order.by !== by) order = { by, down: first };
        else if (order.down === first) order = { by, down: !first };
        else order = { by: "", down: false }; // the third time: as the page was
        remember();
      });
    }
    form.addEventListener("input", (event) => {
      if (event.target.name === "sort") order = orderOf(event.target.value);
      remember();
    });
    const opener = form.querySelector(".opener"); // what is open is printed
    opener.addEventListener("click", () => {
      const shown = all("details.claim:not([hidden])"), open = !shown.every((each) => each.open);
      shown.forEach((each) => { each.open = open; });
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(() => { order = { by: "", down: false }; remember(); }));
    addEventListener("hashchange", restore);
    apply();
    restore();
  }

  // -- patterns: a query token shades the keys that it attends to ---------------------------------------------------
  const read = new WeakMap();
  function dataOf(figure) {
    if (!read.has(figure)) {
      const sets = (text) => text.split("|").map((each) => new Set(each.split(" ")));
      const { rows: grid, cells, others, top } = figure.dataset;
      const values = grid.split(";").map((row) => row.split(",").map((value) => (value === "" ? null : Number(value))));
      read.set(figure, { values, cells: sets(cells), others: sets(others), top: Number(top), tokens: all(".tok", figure) });
    }
    return read.get(figure);
  }

  const share = (value) => (value === null ? "not a number" : value < 1 ? "<0.001" : (value / 1000).toFixed(3));
  const nameOf = (token) => "“" + token.firstElementChild.textContent + "”";

  function select(figure, query) {
    const { values, cells, others, top, tokens } = dataOf(figure);
    const mark = Number(figure.querySelector("input:checked")?.value ?? 0);
    figure.classList.add("live");
    figure.dataset.query = query;
    tokens.forEach((token, key) => {
      const weight = key <= query ? (values[query][key] ?? 0) / top : 0, cell = `${query}-${key}`;
      token.style.setProperty("--w", weight.toFixed(3));
      token.classList.toggle("query", key === query);
      token.classList.toggle("later", key > query);
      token.classList.toggle("cell", cells[mark].has(cell));
      token.classList.toggle("than", others[mark].has(cell) && !cells[mark].has(cell));
      token.setAttribute("aria-pressed", key === query);
      token.tabIndex = key === query ? 0 : -1; // one stop for the tab key; arrows move inside
      token.title = key <= query ? share(values[query][key]) : "";
    });
    figure.querySelector(".heat .at").setAttribute("y", query);
    figure.querySelector(".heat .at").setAttribute("width", query + 1);
    const order = [...values[query].keys()].sort((a, b) => (values[query][b] ?? -1) - (values[query][a] ?? -1));
    const inside = order.filter((key) => cells[mark].has(`${query}-${key}`));
    const sum = inside.reduce((total, key) => (total === null || values[query][key] === null ? null : total + values[query][key]), 0);
    figure.querySelector(".told").value =
      `${nameOf(tokens[query])} at ${query} attends to ` +
      order.filter((key, place) => place < 4 && (!place || values[query][key] >= 1)).map((key) => `${nameOf(tokens[key])} at ${key}: ${share(values[query][key])}`).join(", ") +
      (inside.length ? `; on the outlined: ${share(sum)}` : "; nothing is outlined for this query");
  }

  function begin(figure) {
    if (figure.dataset.query !== undefined) return;
    const { cells, values, tokens } = dataOf(figure); // first shown: the query of the check with most on its cells
    const sums = tokens.map((_, query) => values[query].reduce((sum, value, key) => sum + (cells[0].has(`${query}-${key}`) ? value ?? 0 : 0), 0));
    const most = Math.max(...sums);
    select(figure, most > 0 ? sums.indexOf(most) : tokens.length - 1);
  }

  for (const kind of ["pointerover", "focusin", "click"]) {
    document.addEventListener(kind, (event) => {
      const token = event.target.closest?.(".tok");
      if (token) select(token.closest(".pattern"), Number(token.dataset.place));
    });
  }
  document.addEventListener("change", (event) => {
    const figure = event.target.closest(".pattern");
    if (figure) select(figure, Number(figure.dataset.query));
  });
  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], token = event.target.closest?.(".tok");
    if (!step || !token) return;
    event.preventDefault();
    dataOf(token.closest(".pattern")).tokens[Number(token.dataset.place) + step]?.focus();
  });
  const start = (section) => { if (section.open) all(".pattern", section).forEach(begin); };
  document.addEventListener("toggle", (event) => { if (event.target.matches?.(".claim")) start(event.target); }, true);
  all("details.claim[open]").forEach(start);
})();
