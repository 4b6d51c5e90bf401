/* What all parts of the page share: the data, the clock, and words for times and places. */
var page = (function () {
  "use strict";
  var data = JSON.parse(document.getElementById("view").textContent);
  var listeners = [], now = 0;
  document.documentElement.classList.add("js");

  function two(n) { return (n < 10 ? "0" : "") + n; }

  function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

  function utc(seconds) {
    var d = new Date(data.start + seconds * 1000);
    return d.getUTCFullYear() + "-" + two(d.getUTCMonth() + 1) + "-" + two(d.getUTCDate()) + " " +
      two(d.getUTCHours()) + ":" + two(d.getUTCMinutes()) + " UTC";
  }

  function lonlat(lon, lat, digits) {
    lon = (lon + 540) % 360 - 180;
    return Math.abs(lat).toFixed(digits) + "° " + (lat < 0 ? "S" : "N") + ", " +
      Math.abs(lon).toFixed(digits) + "° " + (lon < 0 ? "W" : "E");
  }

  function duration(s) {
    if (s < 59.5) { return s.toFixed(0) + "\u00a0s"; }
    if (s < 5370) { return (s / 60).toFixed(0) + "\u00a0min"; }
    if (s < 172800) { return (s / 3600).toFixed(1) + "\u00a0h"; }
    return (s / 86400).toFixed(1) + "\u00a0days";
  }

  function area(km2) {
    return (km2 >= 100 ? String(Math.round(km2)).replace(/\B(?=(\d{3})+$)/g, "\u202f") : String(+km2.toPrecision(3))) + "\u00a0km²";
  }

  /* The value of a series of steps at a time; steps are [since, value], rising. */
  function stepAt(steps, t) {
    var low = 0, high = steps.length;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (steps[middle][0] <= t) { low = middle + 1; } else { high = middle; }
    }
    return low ? steps[low - 1][1] : 0;
  }

  function setTime(t, from) {
    now = clamp(t, 0, data.seconds);
    listeners.forEach(function (listener) { listener(now, from); });
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  }

  /* Calls after resizes and changes of colour have settled. */
  function onChange(redraw) {
    var pending = 0;
    function later() {
      cancelAnimationFrame(pending);
      pending = requestAnimationFrame(redraw);
    }
    window.addEventListener("resize", later);
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", later);
  }

  return {
    data: data, utc: utc, lonlat: lonlat, duration: duration, area: area, clamp: clamp,
    stepAt: stepAt, setTime: setTime, colour: colour, onChange: onChange,
    onTime: function (listener) { listeners.push(listener); },
    now: function () { return now; }
  };
}());
