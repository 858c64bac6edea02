// What `test_slides.py` puts into the head of a deck: it tells what was refused, missing or wrong,
const missing = [], told = kind => addEventListener(kind, e => missing.push(
    e.blockedURI || e.target.src || e.target.href || e.message), true);
told("error"); told("securitypolicyviolation");
// and leaves of the deck what was measured when all its fragments are shown and all its formulas are set.
const waiting = setInterval(() => {
  if (!document.querySelector(".reveal.ready") || !window.MathJax || !MathJax.isReady) return;
  clearInterval(waiting);
  // Ready is what MathJax is before it sets the formulas, and "End" what it signals when all are set.
  MathJax.Hub.Register.StartupHook("End", () => {
    document.querySelectorAll(".slides section, .fragment").forEach(each => {
      each.style.display = "block"; each.classList.add("visible"); each.hidden = false;
    });
    const found = [...document.querySelectorAll(".slides > section > section")].map(slide => ({
      height: slide.scrollHeight,
      width: Math.max(0, ...[...slide.querySelectorAll("*")].filter(each => each.scrollWidth > each.clientWidth + 2
        && getComputedStyle(each).overflowX != "visible").map(each => each.scrollWidth)),
      text: slide.innerText.slice(0, 60)}));
    const formulas = document.querySelectorAll(".MathJax_SVG svg").length;
    const notes = [...document.querySelectorAll("aside.notes")];
    const wrong = document.querySelectorAll(".merror, .MathJax_Error").length;
    const measured = document.createElement("pre");
    measured.textContent = JSON.stringify({slides: found, formulas, wrong, missing,
      notes: notes.length, seen: notes.filter(note => note.checkVisibility()).length,
      drawn: notes.filter(note => note.querySelector("script, svg")).length});
    document.body.replaceChildren(measured);
  });
}, 100);
