/* Contacts: one button each on the days' lanes; the chosen one's card below. */
(function () {
  "use strict";
  var passes = Array.from(document.querySelectorAll("[data-pass]"));
  var cards = Array.from(document.querySelectorAll("[data-card]")), chosen = -1;
  if (!passes.length) { return; }

  function choose(i, focus, move) {
    chosen = page.clamp(i, 0, passes.length - 1);
    passes.forEach(function (pass, k) {
      pass.setAttribute("aria-current", String(k === chosen));
      pass.tabIndex = k === chosen ? 0 : -1;
    });
    cards.forEach(function (card, k) { card.hidden = k !== chosen; });
    document.getElementById("pass-back").disabled = chosen === 0;
    document.getElementById("pass-on").disabled = chosen === passes.length - 1;
    if (focus) { passes[chosen].focus(); }
    if (move) { page.setTime(page.data.contacts[chosen][0], "contact"); }
  }

  passes.forEach(function (pass, i) {
    pass.addEventListener("click", function () { choose(i, false, true); });
    pass.addEventListener("keydown", function (event) {
      var next = { ArrowRight: i + 1, ArrowDown: i + 1, ArrowLeft: i - 1, ArrowUp: i - 1, Home: 0, End: passes.length - 1 }[event.key];
      if (next !== undefined) { event.preventDefault(); choose(next, true, true); }
    });
  });
  document.getElementById("pass-back").addEventListener("click", function () { choose(chosen - 1, false, true); });
  document.getElementById("pass-on").addEventListener("click", function () { choose(chosen + 1, false, true); });
  page.onTime(function (t, from) {
    if (from === "contact") { return; }
    var i = page.data.contacts.findIndex(function (c) { return c[0] <= t && t <= c[1]; });
    if (i >= 0 && i !== chosen) { choose(i, false, false); }
  });
  var best = 0, most = -1;
  passes.forEach(function (pass, i) { var sent = Number(pass.dataset.sent); if (sent > most) { most = sent; best = i; } });
  choose(best, false, false);
}());
