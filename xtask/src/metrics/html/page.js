// Pointer and keyboard interaction of the report: reading values off charts, tracing models, sorting
// tables, light and dark. The page is complete without it. Text from data is only ever inserted as text.
(() => {
  "use strict";
  const root = document.documentElement;
  const $ = (id) => document.getElementById(id);
  const nodes = JSON.parse($("nodes").textContent);
  root.classList.add("js");

  const el = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  // External names may run from right to left: they must not change the direction of the text beside them.
  const bdi = (text) => el("bdi", text);

  // Light and dark. Storage may be forbidden to a file; the choice then lasts as long as the page.
  const remember = (value) => {
    try {
      if (value !== undefined) localStorage.setItem("xtask-report-theme", value);
      return localStorage.getItem("xtask-report-theme");
    } catch {
      return null;
    }
  };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = $("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const label = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  };
  const kept = remember();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  label();
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    remember(root.dataset.theme);
    label();
  });
  dark.addEventListener("change", label);
  $("print").hidden = false;
  $("print").addEventListener("click", () => print());

  // Which part of the report is being read.
  const links = new Map([...document.querySelectorAll("nav a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-15% 0px -75% 0px" },
  );
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);

  // The box beside the pointer, and the same words for a screen reader when keys moved there.
  const tip = $("tip");
  const showTip = (title, pairs, x, y) => {
    tip.replaceChildren();
    const head = el("b");
    head.append(bdi(title));
    tip.append(head);
    for (const [name, value] of pairs) {
      const line = el("div");
      const key = el("span");
      key.append(bdi(name));
      line.append(key, bdi(value));
      tip.append(line);
    }
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 14 + box.width > root.clientWidth ? x - box.width - 14 : x + 14;
    tip.style.left = `${Math.max(4, left) + scrollX}px`;
    tip.style.top = `${Math.max(4, y - box.height - 10) + scrollY}px`;
  };
  const say = (title, pairs) => {
    $("live").textContent = [title, ...pairs.map(([name, value]) => `${name} ${value}`)].join(", ");
  };

  // Charts over an axis: a step is a row of the table behind the chart.
  for (const plot of document.querySelectorAll(".plot[data-steps]")) {
    const steps = Number(plot.dataset.steps);
    const marks = plot.querySelector("svg.marks");
    const table = plot.closest("figure").querySelector("table");
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", "0");
    cursor.setAttribute("y2", "100%");
    let at = -1;
    const hide = () => {
      at = -1;
      cursor.remove();
      tip.hidden = true;
    };
    const go = (step, spoken) => {
      at = Math.min(Math.max(step, 0), steps - 1);
      const share = `${((at + 0.5) / steps) * 100}%`;
      cursor.setAttribute("x1", share);
      cursor.setAttribute("x2", share);
      marks.append(cursor);
      const pairs = heads
        .map((head, i) => [head, rows[at][i]])
        .slice(1)
        .filter(([, value]) => value !== "");
      const box = marks.getBoundingClientRect();
      showTip(rows[at][0], pairs, box.left + ((at + 0.5) / steps) * box.width, box.top + 24);
      if (spoken) say(rows[at][0], pairs);
    };
    plot.addEventListener("pointermove", (event) => {
      const box = marks.getBoundingClientRect();
      const step = Math.floor(((event.clientX - box.left) / box.width) * steps);
      if (step < 0 || step >= steps) hide();
      else if (step !== at || tip.hidden) go(step, false);
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: at + 1, ArrowLeft: at < 0 ? steps - 1 : at - 1, Home: 0, End: steps - 1 };
      if (event.key === "Escape") hide();
      else if (event.key in moves) {
        event.preventDefault();
        go(moves[event.key], true);
      }
    });
  }

  const facts = (node) =>
    [
      ["Kind", node.m ? `${node.k}, ${node.m}` : node.k],
      ["Layer", node.l],
      ["Status", node.s],
      ["Began after", node.b],
      ["Took", node.t],
      ["Rows", node.r],
      ["Failing rows", node.f],
      ["Owner", node.o],
      ["Tags", node.g],
    ].filter(([, value]) => value !== undefined);

  // The timeline: every mark is a node.
  for (const plot of document.querySelectorAll(".plot[data-nodes]")) {
    const marks = [...plot.querySelectorAll("rect[data-i]")];
    let on = -1;
    const hide = () => {
      marks[on]?.classList.remove("on");
      on = -1;
      tip.hidden = true;
    };
    const go = (index, spoken) => {
      marks[on]?.classList.remove("on");
      on = Math.min(Math.max(index, 0), marks.length - 1);
      const mark = marks[on];
      mark.classList.add("on");
      const node = nodes[mark.dataset.i];
      const box = mark.getBoundingClientRect();
      showTip(node.n, facts(node), box.left + box.width / 2, box.top);
      if (spoken) say(node.n, facts(node));
    };
    plot.addEventListener("pointerover", (event) => {
      const index = marks.indexOf(event.target);
      if (index < 0) hide();
      else go(index, false);
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const moves = { ArrowRight: on + 1, ArrowLeft: on < 0 ? marks.length - 1 : on - 1, Home: 0, End: marks.length - 1 };
      if (event.key === "Escape") hide();
      else if (event.key in moves && marks.length) {
        event.preventDefault();
        go(moves[event.key], true);
      }
    });
  }

  // The models: choosing one highlights it with all its ancestors and descendants.
  const graph = document.querySelector(".graph");
  if (graph) {
    const buttons = new Map([...graph.querySelectorAll(".node")].map((button) => [Number(button.dataset.i), button]));
    const edges = [...graph.querySelectorAll(".edge")].map((path) => [path, ...path.dataset.e.split(" ").map(Number)]);
    const children = new Map();
    for (const [, from, to] of edges) children.set(from, [...(children.get(from) ?? []), to]);
    const parents = (i) => (nodes[i].u ?? []).filter((parent) => buttons.has(parent));
    const below = (i) => children.get(i) ?? [];
    const reach = (start, next) => {
      const found = new Set([start]);
      const open = [start];
      while (open.length) {
        for (const other of next(open.pop())) {
          if (!found.has(other)) {
            found.add(other);
            open.push(other);
          }
        }
      }
      return found;
    };
    const detail = $("detail");
    let chosen = null;

    const choose = (i) => {
      if (chosen !== null) buttons.get(chosen).setAttribute("aria-pressed", "false");
      chosen = i;
      graph.classList.toggle("tracing", i !== null);
      detail.hidden = i === null;
      if (i === null) return;
      buttons.get(i).setAttribute("aria-pressed", "true");
      const up = reach(i, parents);
      const down = reach(i, below);
      for (const [other, button] of buttons) button.classList.toggle("near", up.has(other) || down.has(other));
      for (const [path, from, to] of edges) {
        path.classList.toggle("near", (up.has(from) && up.has(to)) || (down.has(from) && down.has(to)));
      }
      describe(i);
    };
    const links = (title, indexes) => {
      if (!indexes.length) return;
      const list = el("div", undefined, "links");
      for (const i of indexes) {
        const button = el("button");
        button.type = "button";
        button.append(bdi(nodes[i].n));
        button.addEventListener("click", () => {
          choose(i);
          focus(i);
        });
        list.append(button);
      }
      detail.append(el("h5", title), list);
    };
    const tones = { pass: "is-ok", success: "is-ok", warn: "is-warn", fail: "is-fail", error: "is-fail" };
    const tag = (status) => el("span", status, `tag ${tones[status] ?? "is-none"}`);
    const describe = (i) => {
      const node = nodes[i];
      detail.replaceChildren();
      const close = el("button", "×", "close");
      close.type = "button";
      close.setAttribute("aria-label", "Close");
      close.addEventListener("click", () => {
        choose(null);
        buttons.get(i).focus();
      });
      const title = el("h4");
      title.append(bdi(node.n));
      detail.append(close, title);
      detail.append(node.s ? tag(node.s) : tag(node.k === "source" ? "source" : "not run"));
      const list = el("dl");
      for (const [name, value] of [...facts(node).filter(([name]) => name !== "Status"), ["SQL", node.p]]) {
        if (value === undefined) continue;
        const text = el("dd");
        text.append(name === "SQL" ? el("code", value) : bdi(value));
        list.append(el("dt", name), text);
      }
      detail.append(list);
      if (node.e) detail.append(el("pre", node.e));
      if (node.d) detail.append(el("p", node.d));
      if (node.c) {
        const columns = el("ul", undefined, "columns");
        for (const [name, type, from] of node.c) {
          const item = el("li");
          item.append(bdi(name), el("span", type, "type"));
          // Nothing for a seed or a source: they are not made from anything here.
          if (from?.length) item.append(el("span", `from ${from.join(", ")}`, "from"));
          else if (from === null && node.k === "model") item.append(el("span", "origin not certain", "from"));
          columns.append(item);
        }
        detail.append(el("h5", `Columns: ${node.c.length}`), columns);
      }
      const tests = node.x ?? [];
      const passed = tests.filter((test) => nodes[test].s === "pass").length;
      if (tests.length) {
        detail.append(el("h5", `Tests: ${passed} of ${tests.length} passed`));
        const items = el("ul");
        for (const test of [...tests].sort((a, b) => (nodes[a].s === "pass") - (nodes[b].s === "pass"))) {
          const item = el("li");
          item.append(bdi(nodes[test].n), tag(nodes[test].s ?? "not run"));
          items.append(item);
          if (nodes[test].e && nodes[test].s !== "pass") items.append(el("pre", nodes[test].e));
        }
        detail.append(items);
      } else if (node.k !== "source") {
        detail.append(el("p", "The latest run has no tests of it."));
      }
      links("Made from", parents(i));
      links("Used by", below(i));
    };

    // One tab stop; arrow keys move through a column and on to the next.
    const focus = (i) => {
      for (const button of buttons.values()) button.tabIndex = -1;
      const button = buttons.get(i);
      button.tabIndex = 0;
      button.focus({ preventScroll: true });
      button.scrollIntoView({ block: "nearest", inline: "nearest" });
    };
    const order = [...buttons.values()];
    for (const button of order) {
      button.setAttribute("aria-pressed", "false");
      button.title = nodes[button.dataset.i].n;
    }
    const beside = (button, step) => {
      const column = Number(button.dataset.c) + step;
      const middle = button.offsetTop;
      const there = order.filter((other) => Number(other.dataset.c) === column);
      return there.sort((a, b) => Math.abs(a.offsetTop - middle) - Math.abs(b.offsetTop - middle))[0];
    };
    graph.addEventListener("click", (event) => {
      const button = event.target.closest(".node");
      if (!button) return;
      const i = Number(button.dataset.i);
      choose(chosen === i ? null : i);
      focus(i);
    });
    graph.addEventListener("keydown", (event) => {
      const button = event.target.closest(".node");
      if (!button) return;
      const place = order.indexOf(button);
      const moves = {
        ArrowDown: () => order[place + 1],
        ArrowUp: () => order[place - 1],
        ArrowRight: () => beside(button, 1),
        ArrowLeft: () => beside(button, -1),
        Home: () => order[0],
        End: () => order.at(-1),
      };
      if (event.key === "Escape") choose(null);
      else if (event.key in moves) {
        event.preventDefault();
        const next = moves[event.key]();
        if (next) focus(Number(next.dataset.i));
      }
    });
    $("find").addEventListener("input", (event) => {
      const wanted = event.target.value.trim().toLowerCase();
      choose(null);
      const hits = wanted ? order.filter((button) => nodes[button.dataset.i].n.toLowerCase().includes(wanted)) : [];
      graph.classList.toggle("tracing", wanted !== "");
      for (const button of order) button.classList.toggle("near", hits.includes(button));
      for (const [path] of edges) path.classList.remove("near");
      $("found").textContent = wanted ? `${hits.length} found` : "";
      hits[0]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    });
    $("find").addEventListener("keydown", (event) => {
      const hit = event.key === "Enter" && graph.querySelector(".node.near");
      if (hit) {
        choose(Number(hit.dataset.i));
        focus(Number(hit.dataset.i));
      }
    });
  }

  // Tables: a search, the number of rows, and sorting by the column whose title is chosen: by number if it has
  // numbers, unknown last. Long ones show their first rows until all are asked for.
  const FIRST = 25;
  for (const table of document.querySelectorAll("table.grid")) {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows[0].cells];
    const total = Number(table.dataset.total);
    const all = [...body.rows];
    const name = table.caption.textContent;
    let shown = all;
    let open = all.length <= FIRST;
    let sorted = { column: -1, up: true };
    const tools = el("div", undefined, "table-tools");
    const said = el("span");
    said.setAttribute("role", "status");
    const more = el("button");
    more.type = "button";
    const show = () => {
      const first = open ? shown.length : Math.min(FIRST, shown.length);
      for (const row of all) row.hidden = true;
      for (const row of shown.slice(0, first)) row.hidden = false;
      said.textContent = first === total ? `${total} ${total === 1 ? "row" : "rows"}` : `${first} of ${total} rows`;
      if (all.length < total && first === all.length) said.textContent += " (--format csv has all)";
      more.textContent = open ? `Show ${FIRST}` : `Show all ${shown.length}`;
      more.hidden = shown.length <= FIRST;
    };
    more.addEventListener("click", () => {
      open = !open;
      show();
    });
    const key = (row, i) => {
      const cell = row.cells[i];
      return cell.dataset.v === undefined ? cell.querySelector("bdi, .tag")?.textContent.trim() ?? "" : Number(cell.dataset.v);
    };
    const isUnknown = (row, i) => row.cells[i].querySelector(".unknown") !== null;
    const sort = (i, up) => {
      sorted = { column: i, up };
      for (const [at, head] of heads.entries()) {
        if (at === i) head.setAttribute("aria-sort", up ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      }
      const compare = (a, b) => {
        const unknown = isUnknown(a, i) - isUnknown(b, i);
        if (unknown) return unknown;
        const [x, y] = [key(a, i), key(b, i)];
        if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1;
        const way = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
        return up ? way : -way;
      };
      all.sort(compare);
      shown = all.filter((row) => shown.includes(row));
      body.append(...all);
      show();
    };
    const titles = heads.map((head) => head.textContent);
    for (const [i, head] of heads.entries()) {
      const button = el("button", titles[i]);
      button.type = "button";
      head.replaceChildren(button);
      // Numbers begin with the largest, words with the first.
      button.addEventListener("click", () => sort(i, sorted.column === i ? !sorted.up : !head.classList.contains("num")));
    }
    for (const row of all) for (const [i, cell] of [...row.cells].entries()) if (i) cell.dataset.l = titles[i];
    if (all.length > 5) {
      const search = el("input");
      search.type = "search";
      search.autocomplete = "off";
      search.placeholder = "Search";
      search.setAttribute("aria-label", `Search in ${name}`);
      search.addEventListener("input", () => {
        const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
        shown = all.filter((row) => words.every((word) => row.textContent.toLowerCase().includes(word)));
        show();
      });
      const order = el("label", "Sort by ", "sort");
      const select = el("select");
      for (const [i, title] of titles.entries()) select.append(new Option(title, i));
      select.addEventListener("change", () => {
        const i = Number(select.value);
        sort(i, !heads[i].classList.contains("num"));
      });
      order.append(select);
      tools.append(search, order);
    }
    tools.append(said, more);
    table.parentElement.before(tools);
    show();
  }
})();
