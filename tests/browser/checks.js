// What the tests ask of the report page. Each answers with plain data, so that the test says what is right.
({
  // Every chart and list: how many marks are drawn, how many rows stand in the table behind it, and the
  // reason where there is nothing.
  figures: () =>
    [...document.querySelectorAll("figure")].map((figure) => ({
      id: figure.id,
      marks: figure.querySelectorAll("svg .mark, svg .line, svg .dots, .graph .node").length,
      rows: figure.querySelectorAll("tbody tr").length,
      title: figure.querySelector("h3").textContent,
      named: Boolean(figure.querySelector("[role=img][aria-label], [role=region][aria-label]")),
      reason: figure.querySelector(".empty")?.textContent.trim() ?? null,
    })),
  // The middle of an element on the screen, scrolled to.
  middle: (selector) => {
    const found = document.querySelector(selector);
    found.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
    const box = found.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  },
  // What the panel beside the models says.
  detail: () => {
    const detail = document.getElementById("detail");
    const facts = [...detail.querySelectorAll("dl dt")].map((dt) => [dt.textContent, dt.nextElementSibling.textContent]);
    return {
      hidden: detail.hidden,
      title: detail.querySelector("h4")?.textContent ?? null,
      facts: Object.fromEntries(facts),
      tests: [...detail.querySelectorAll("li bdi")].map((test) => test.textContent),
      links: [...detail.querySelectorAll(".links button")].map((link) => link.textContent),
      pressed: [...document.querySelectorAll(".node[aria-pressed=true] bdi")].map((node) => node.textContent),
      near: document.querySelectorAll(".node.near").length,
    };
  },
  // Tables that are wider than their frame on a phone, where nothing shows that there is more to the right.
  clipped: () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    const tables = [...document.querySelectorAll(".scroll:has(table)")];
    return tables.filter((frame) => frame.scrollWidth > frame.clientWidth + 1).map((frame) => frame.ariaLabel);
  },
  // Anything that stands wider than the screen.
  overflow: () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  // Accessibility, with every table open: a rule that is broken, and where.
  axe: async () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
    const { violations, passes } = await axe.run(document);
    const broken = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join("; ")}`);
    return { broken, passed: passes.length };
  },
})
