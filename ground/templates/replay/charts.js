/* Charts: flooded area known over time, and how soon maps came. */
(function () {
  "use strict";
  var data = page.data, names = Object.keys(data.known), charts = [];

  var MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

  function stroke(name) { return page.colour(name) || page.colour("other"); }

  function series(name, label, unit, digits) {
    return {
      label: label, stroke: stroke(name), width: name === data.shown ? 3 : 2, dash: data.dashes[name] || [],
      points: { show: false }, paths: uPlot.paths.stepped({ align: 1 }),
      value: function (u, v) { return v === null || v === undefined ? "–" : v.toFixed(digits) + unit; }
    };
  }

  function axis(label, extra) {
    var base = {
      label: label, stroke: page.colour("soft"), labelFont: font(1), font: font(0.87), labelGap: 4,
      grid: { stroke: page.colour("line"), width: 1 }, ticks: { stroke: page.colour("line"), width: 1 }
    };
    return Object.assign(base, extra || {});
  }

  function rem() { return parseFloat(getComputedStyle(document.documentElement).fontSize); }

  function font(size) { return Math.round(size * rem() * 0.95) + "px " + getComputedStyle(document.body).fontFamily; }

  function grow(box, options, table, words) {
    box.textContent = "";
    options.width = box.clientWidth;
    options.height = box.clientHeight;
    options.padding = [rem(), 1.8 * rem(), 0, 0];
    options.cursor = { y: false, drag: { x: false, y: false } };
    options.legend = { show: true, live: true };
    options.hooks = { setCursor: [function (u) { if (u.cursor.idx !== null && u.cursor.idx !== undefined && u.told) { words(u, u.cursor.idx); } }] };
    var chart = new uPlot(options, table, box);
    chart.told = true;
    return chart;
  }

  function follow(box, get, words) {
    box.addEventListener("keydown", function (event) {
      var chart = get(), step = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
      if (step === undefined || !chart) { return; }
      var last = chart.data[0].length - 1, idx = page.clamp((chart.cursor.idx === null || chart.cursor.idx === undefined ? -1 : chart.cursor.idx) + step, 0, last);
      event.preventDefault();
      chart.setCursor({ left: chart.valToPos(chart.data[0][idx], "x"), top: 0 });
      words(chart, idx);
    });
  }

  function union(lists) {
    return Array.from(new Set([].concat.apply([], lists))).sort(function (a, b) { return a - b; });
  }

  /* Flooded area known */
  var known = document.getElementById("known"), knownWords = document.getElementById("known-words");
  function knownTable() {
    var all = names.map(function (n) { return data.known[n]; }).concat([data.photographed]);
    var times = union(all.map(function (steps) { return steps.map(function (s) { return s[0]; }); }).concat([[0, data.seconds]]));
    return [times.map(function (t) { return data.start / 1000 + t; })].concat(all.map(function (steps) {
      return times.map(function (t) { return page.stepAt(steps, t); });
    }));
  }
  function sayKnown(u, idx) {
    var t = u.data[0][idx] - data.start / 1000;
    knownWords.textContent = page.utc(t) + ": " + names.map(function (n, i) { return data.titles[n] + " " + page.area(u.data[i + 1][idx]); }).join("; ") +
      "; photographed " + page.area(u.data[names.length + 1][idx]) + ".";
  }
  function drawKnown() {
    var narrow = known.clientWidth < 520;
    return grow(known, {
      tzDate: function (ts) { return uPlot.tzDate(new Date(ts * 1000), "Etc/UTC"); },
      scales: { x: { time: true, range: function (u, low, high) { return [low, high]; } }, y: { range: function (u, low, high) { return [0, Math.max(1e-9, high) * 1.05]; } } },
      axes: [
        axis("time (UTC)", { space: narrow ? 60 : 90, size: rem() * 2.6, labelSize: rem() * 1.5, values: days }),
        axis("flooded area known (km²)", { size: rem() * 3.4, labelSize: rem() * 1.5 })
      ],
      series: [{}].concat(names.map(function (n) { return series(n, data.titles[n], " km²", 1); }))
        .concat([Object.assign(series("ink", "photographed", " km²", 1), { stroke: page.colour("soft"), width: 1, dash: data.dashes.photographed })])
    }, knownTable(), sayKnown);
  }
  function days(u, splits) {
    return splits.map(function (s) {
      var d = new Date(s * 1000), time = d.toISOString().slice(11, 16);
      return time === "00:00" ? d.getUTCDate() + "\u00a0" + MONTHS[d.getUTCMonth()] : time;
    });
  }

  /* How soon */
  var soon = document.getElementById("soon"), soonWords = document.getElementById("soon-words");
  function latencies(name) { return data.latency[name].map; }
  function soonTable() {
    var x = union(names.map(function (n) { return latencies(n).seconds.map(function (s) { return Math.max(s, 1) / 3600; }); }));
    if (!x.length) { x = [0.1, 10]; }
    x = [x[0] * 0.8].concat(x, [x[x.length - 1] * 1.15]);
    return [x].concat(names.map(function (n) {
      var found = latencies(n), i = 0;
      return x.map(function (hours) {
        while (i < found.seconds.length && Math.max(found.seconds[i], 1) / 3600 <= hours) { i++; }
        return found.due ? 100 * i / found.due : 0;
      });
    }));
  }
  function sayHours(h) { return page.duration(h * 3600); }
  function saySoon(u, idx) {
    soonWords.textContent = "Within " + sayHours(u.data[0][idx]) + ": " + names.map(function (n, i) { return data.titles[n] + " " + u.data[i + 1][idx].toFixed(0) + "\u00a0%"; }).join("; ") + " of the maps.";
  }
  function drawSoon() {
    return grow(soon, {
      scales: { x: { time: false, distr: 3, range: function (u, low, high) { return [low, high]; } }, y: { range: [0, 102] } },
      axes: [
        axis("time from picture to map (logarithmic)", {
          size: rem() * 2.6, labelSize: rem() * 1.5, space: 50,
          splits: function (u) {
            return [1 / 60, 1 / 6, 0.5, 1, 3, 6, 12, 24, 72, 168, 336, 720].filter(function (h) { return h >= u.scales.x.min && h <= u.scales.x.max; });
          },
          filter: function (u, splits) { return splits; },
          values: function (u, splits) { return splits.map(sayHours); }
        }),
        axis("maps on the ground (%)", { size: rem() * 3.4, labelSize: rem() * 1.5 })
      ],
      series: [{}].concat(names.map(function (n) { return series(n, data.titles[n], " %", 0); }))
    }, soonTable(), saySoon);
  }

  function draw() {
    charts.forEach(function (chart) { chart.destroy(); });
    charts = [drawKnown(), drawSoon()];
  }
  if (known && names.length) {
    follow(known, function () { return charts[0]; }, sayKnown);
    follow(soon, function () { return charts[1]; }, saySoon);
    page.onChange(draw);
    draw();
  }

  /* The ledger: only the causes that are asked for. */
  var asks = Array.from(document.querySelectorAll("[data-ask]")), rows = Array.from(document.querySelectorAll("[data-cause]"));
  asks.forEach(function (ask) {
    ask.addEventListener("click", function () {
      asks.forEach(function (one) { one.setAttribute("aria-pressed", String(one === ask)); });
      rows.forEach(function (row) { row.hidden = ask.dataset.ask !== "" && row.dataset.cause !== ask.dataset.ask; });
    });
  });
  page.setTime(data.seconds, "start");
}());
