/* The world: where the satellite is, what it hears, which frames are known on the ground. */
(function () {
  "use strict";
  var data = page.data, box = document.getElementById("world");
  var slider = document.getElementById("clock"), clockText = document.getElementById("clock-text");
  var readout = document.getElementById("world-readout"), play = document.getElementById("play");
  var land = JSON.parse(document.getElementById("land").textContent);
  land = topojson.feature(land, land.objects.land);
  var SVG = "http://www.w3.org/2000/svg", ORBIT = 5700, path, projection, parts = {}, shots = [], stations = [];
  var timer = null, still = window.matchMedia("(prefers-reduced-motion: reduce)");

  function degrees(text) {
    var bytes = Uint8Array.from(atob(text), function (c) { return c.charCodeAt(0); });
    var view = new DataView(bytes.buffer), found = new Float64Array(bytes.length / 2);
    for (var i = 0; i < found.length; i++) { found[i] = view.getInt16(2 * i, true) / 180; }
    return found;
  }

  var longitude = degrees(data.track.longitude), latitude = degrees(data.track.latitude);

  function sample(i) { return [longitude[i], latitude[i]]; }

  function below(t) {
    var at = page.clamp(t / data.track.step, 0, longitude.length - 1), i = Math.min(Math.floor(at), longitude.length - 2);
    return d3.geoInterpolate(sample(i), sample(i + 1))(at - i);
  }

  function line(from, to) {
    var step = data.track.step, points = [];
    from = Math.max(0, from); to = Math.min((longitude.length - 1) * step, to);
    if (to <= from) { return null; }
    points.push(below(from));
    for (var i = Math.ceil(from / step); i * step < to; i++) { points.push(sample(i)); }
    points.push(below(to));
    return { type: "LineString", coordinates: points };
  }

  /* Where the Sun stands overhead; to half a degree (Meeus, Astronomical Algorithms, chapter 25). */
  function overhead(t) {
    var d = (data.start + t * 1000) / 86400000 - 10957.5, rad = Math.PI / 180;
    var mean = 280.46 + 0.9856474 * d, g = (357.528 + 0.9856003 * d) * rad;
    var ecliptic = (mean + 1.915 * Math.sin(g) + 0.02 * Math.sin(2 * g)) * rad, tilt = 23.439 * rad;
    var ascension = Math.atan2(Math.cos(tilt) * Math.sin(ecliptic), Math.cos(ecliptic)) / rad;
    var sidereal = 280.46062 + 360.98564737 * d;
    return [((ascension - sidereal + 180) % 360 + 360) % 360 - 180, Math.asin(Math.sin(tilt) * Math.sin(ecliptic)) / rad];
  }

  function add(parent, name, kind) {
    var element = document.createElementNS(SVG, name);
    if (kind) { element.setAttribute("class", kind); }
    parent.appendChild(element);
    return element;
  }

  function put(element, shape) {
    element.setAttribute("d", (shape && path(shape)) || "");
  }

  function mark(element, point) {
    var at = projection(point);
    element.setAttribute("transform", "translate(" + at[0].toFixed(1) + " " + at[1].toFixed(1) + ")");
  }

  function build() {
    var width = Math.max(280, box.clientWidth), wide = width >= 620, height = wide ? width * 0.4867 : width * 0.62;
    height = Math.min(height, Math.max(300, window.innerHeight * 0.82));
    width = Math.min(width, height / (wide ? 0.4867 : 0.62));
    var rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    projection = d3.geoEqualEarth().precision(0.3);
    if (wide) { projection.fitExtent([[1, 1], [width - 1, height - 1]], { type: "Sphere" });
    } else { projection = d3.geoEquirectangular().fitExtent([[1, 1], [width - 1, height - 1]], { type: "Sphere" }); height = width * 0.5; }
    path = d3.geoPath(projection);
    box.textContent = "";
    var svg = add(box, "svg", "world");
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", box.dataset.label);
    svg.style.maxWidth = width + "px";
    put(add(svg, "path", "sea"), { type: "Sphere" });
    put(add(svg, "path", "grid"), d3.geoGraticule10());
    put(add(svg, "path", "land"), land);
    parts.night = add(svg, "path", "night");
    if (data.seconds <= 2 * 86400) { put(add(svg, "path", "whole"), line(0, data.seconds)); }
    stations = data.stations.map(function (station) {
      var reach = add(svg, "path", "reach");
      put(reach, d3.geoCircle().center(station.place).radius(station.reach)());
      return { name: station.name, reach: reach };
    });
    parts.coming = add(svg, "path", "coming");
    parts.been = add(svg, "path", "been");
    shots = data.shots.map(function (shot) {
      var circle = add(svg, "circle", "shot hidden");
      mark(circle, shot);
      circle.setAttribute("r", 0.32 * rem);
      return circle;
    });
    data.stations.forEach(function (station) {
      var dot = add(svg, "path", "station"), name = add(svg, "text");
      dot.setAttribute("d", "M0,-6L6,5L-6,5Z".replace(/\d+/g, function (n) { return (n * rem / 16).toFixed(1); }));
      mark(dot, station.place);
      mark(name, station.place);
      var right = projection(station.place)[0] > width * 0.8;
      name.setAttribute("x", (right ? -0.56 : 0.56) * rem);
      name.setAttribute("y", 0.25 * rem);
      if (right) { name.setAttribute("text-anchor", "end"); }
      name.textContent = station.name;
    });
    parts.craft = add(svg, "circle", "craft");
    parts.craft.setAttribute("r", 0.42 * rem);
    draw(page.now());
  }

  function stateOf(shot, t) {
    if (shot[2] > t) { return "hidden"; }
    if (shot[4] !== null && shot[4] <= t) { return "mapped"; }
    if (shot[3] !== null && shot[3] <= t) { return "alerted"; }
    return "";
  }

  function hearing(t) {
    return data.contacts.filter(function (c) { return c[0] <= t && t <= c[1]; }).map(function (c) { return c[2]; });
  }

  function draw(t) {
    if (!path) { return; }
    var sun = overhead(t), at = below(t), heard = hearing(t);
    put(parts.night, d3.geoCircle().center([sun[0] + 180, -sun[1]]).radius(90)());
    put(parts.been, line(t - ORBIT, t));
    put(parts.coming, line(t, t + ORBIT));
    mark(parts.craft, at);
    stations.forEach(function (station) {
      station.reach.setAttribute("class", heard.indexOf(station.name) < 0 ? "reach" : "reach hears");
    });
    data.shots.forEach(function (shot, i) { shots[i].setAttribute("class", ("shot " + stateOf(shot, t)).trim()); });
  }

  function tell(t) {
    var heard = hearing(t), at = below(t), off = data.off.some(function (o) { return o[0] <= t && t < o[1] && o[2]; });
    var taken = data.shots.filter(function (s) { return s[2] <= t; });
    var alerted = taken.filter(function (s) { return s[3] !== null && s[3] <= t; }).length;
    var mapped = taken.filter(function (s) { return s[4] !== null && s[4] <= t; }).length;
    clockText.textContent = page.utc(t);
    slider.setAttribute("aria-valuetext", page.utc(t));
    readout.textContent = [
      data.satellite + " over " + page.lonlat(at[0], at[1], 1),
      heard.length ? "in contact with " + heard.join(" and ") : "out of contact",
      off ? "in safe mode" : "",
      taken.length + " frames taken, " + alerted + " alerts heard, " + mapped + " maps on the ground",
      page.area(page.stepAt(data.known[data.shown] || [], t)) + " of flood known"
    ].filter(Boolean).join("  ·  ");
  }

  /* Instants at which something happens, for the buttons that step. */
  var moments = [];
  data.contacts.forEach(function (c) { moments.push(c[0]); });
  data.shots.forEach(function (s) { moments.push(s[2]); if (s[3] !== null) { moments.push(s[3]); } if (s[4] !== null) { moments.push(s[4]); } });
  moments = Array.from(new Set(moments)).sort(function (a, b) { return a - b; });

  function stop() {
    clearTimeout(timer);
    timer = null;
    play.setAttribute("aria-pressed", "false");
    play.textContent = "Play";
    readout.setAttribute("aria-live", "polite");
  }

  /* The whole replay, or six orbits of a long one, in half a minute; in steps where motion is not wanted. */
  function advance(last) {
    var rate = Math.min(data.seconds, 6 * ORBIT) / 30, wait = still.matches ? 1000 : 40, time = Date.now();
    if (page.now() >= data.seconds) { stop(); return; }
    page.setTime(page.now() + rate * (time - last) / 1000, "play");
    timer = setTimeout(function () { advance(time); }, wait);
  }

  play.addEventListener("click", function () {
    if (timer !== null) { stop(); return; }
    if (page.now() >= data.seconds) { page.setTime(0, "play"); }
    play.setAttribute("aria-pressed", "true");
    play.textContent = "Pause";
    readout.setAttribute("aria-live", "off");
    advance(Date.now());
  });
  document.getElementById("earlier").addEventListener("click", function () {
    stop();
    var before = moments.filter(function (m) { return m < page.now() - 1; });
    page.setTime(before.length ? before[before.length - 1] : 0, "step");
  });
  document.getElementById("later").addEventListener("click", function () {
    stop();
    var after = moments.find(function (m) { return m > page.now() + 1; });
    page.setTime(after === undefined ? data.seconds : after, "step");
  });
  slider.max = data.seconds;
  slider.step = Math.max(1, Math.round(data.seconds / 2000));
  slider.addEventListener("input", function () { stop(); page.setTime(Number(slider.value), "slider"); });
  page.onTime(function (t, from) {
    if (from !== "slider") { slider.value = t; }
    tell(t);
    draw(t);
  });
  var width = 0;
  page.onChange(function () { if (box.clientWidth !== width) { width = box.clientWidth; build(); } });
  width = box.clientWidth;
  build();
}());
