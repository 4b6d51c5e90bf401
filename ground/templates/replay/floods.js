/* The floods: frame, mask, uncertainty and truth of one place to fade between, and their values. */
(function () {
  "use strict";
  var box = document.getElementById("flood-map");
  if (!box) { return; }
  var floods = JSON.parse(document.getElementById("flood-data").textContent);
  var colours = JSON.parse(document.getElementById("colours").textContent);
  var slider = document.getElementById("fade"), readout = document.getElementById("flood-readout");
  var buttons = Array.from(document.querySelectorAll("[data-flood]"));
  var stops = Array.from(document.querySelectorAll("[data-stop]")), keys = Array.from(document.querySelectorAll("[data-key]"));
  var layers = [], pixels = {}, shown = -1, at = 100, pending = null, loaded = {};
  var NAMES = ["frame", "mask", "entropy", "truth"];
  var map = L.map(box, {
    crs: L.CRS.Simple, attributionControl: false, zoomSnap: 0, zoomDelta: 1, minZoom: -20, maxBoundsViscosity: 1,
    scrollWheelZoom: "center", fadeAnimation: false, zoomAnimation: !window.matchMedia("(prefers-reduced-motion: reduce)").matches
  });
  L.control.scale({ imperial: false, maxWidth: 160 }).addTo(map);
  map.scrollWheelZoom.disable();
  box.addEventListener("wheel", function (event) { if (event.ctrlKey) { map.scrollWheelZoom.enable(); } else { map.scrollWheelZoom.disable(); } }, { capture: true, passive: true });

  function distance(a, b) { return d3.geoDistance(a, b) * 6371008.8; }

  function read(name, image) {
    var canvas = document.createElement("canvas"), context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    context.drawImage(image, 0, 0);
    pixels[name] = context.getImageData(0, 0, canvas.width, canvas.height);
  }

  function colourAt(name, u, v) {
    var image = pixels[name];
    if (!image) { return null; }
    var column = page.clamp(Math.floor(u * image.width), 0, image.width - 1);
    var row = page.clamp(Math.floor((1 - v) * image.height), 0, image.height - 1);
    return image.data.subarray(4 * (row * image.width + column), 4 * (row * image.width + column) + 4);
  }

  function nearest(table, found) {
    var best = null, least = 200;
    table.forEach(function (entry) {
      var d = 0;
      for (var k = 0; k < 3; k++) { d += (entry[0][k] - found[k]) * (entry[0][k] - found[k]); }
      if (d < least) { least = d; best = entry[1]; }
    });
    return best;
  }

  function classAt(u, v) {
    var found = colourAt("mask", u, v);
    if (!found) { return ""; }
    return found[3] < 8 ? colours.clear : nearest(colours.classes, found) || "";
  }

  function natsAt(u, v) {
    var found = colourAt("entropy", u, v);
    if (!found) { return ""; }
    var level = found[3] < 8 ? null : nearest(colours.scale, found);
    return level === null ? "no uncertainty given" : "entropy " + (level / 255 * colours.top).toFixed(2) + " nats";
  }

  function placeAt(u, v) {
    var c = floods[shown].corners;
    function mix(k) { return (1 - v) * ((1 - u) * c[0][k] + u * c[1][k]) + v * ((1 - u) * c[3][k] + u * c[2][k]); }
    return page.lonlat(mix(0), mix(1), 4);
  }

  function tell(point) {
    var flood = floods[shown], u = point.lng / flood.width, v = point.lat / flood.height;
    if (!(u >= 0 && u <= 1 && v >= 0 && v <= 1)) { return; }
    readout.textContent = [classAt(u, v), natsAt(u, v), placeAt(u, v)].filter(Boolean).join("  ·  ");
  }

  function fade(value) {
    at = page.clamp(value, 0, 100 * (layers.length - 1));
    slider.value = at;
    layers.forEach(function (layer, i) {
      var gap = at / 100 - i;
      layer.setOpacity(i === 0 ? 1 : page.clamp(gap < 0 ? 1 + gap : 1 - gap, 0, 1));
    });
    var near = Math.round(at / 100), part = at % 100;
    stops.forEach(function (stop, i) { stop.setAttribute("aria-pressed", String(i === near && part === 0)); });
    keys.forEach(function (key) { key.hidden = key.dataset.key !== NAMES[near]; });
    slider.setAttribute("aria-valuetext", part === 0 ? stops[near].textContent :
      (100 - part) + " % " + stops[Math.floor(at / 100)].textContent + ", " + part + " % " + stops[Math.floor(at / 100) + 1].textContent);
  }

  function draw(flood) {
    var c = flood.corners;
    flood.width = (distance(c[0], c[1]) + distance(c[3], c[2])) / 2;
    flood.height = (distance(c[0], c[3]) + distance(c[1], c[2])) / 2;
    var bounds = [[0, 0], [flood.height, flood.width]];
    layers.forEach(function (layer) { layer.remove(); });
    pixels = {};
    layers = NAMES.filter(function (name) { return loaded[flood.id][name]; }).map(function (name) {
      var layer = L.imageOverlay(loaded[flood.id][name], bounds, { alt: "", className: "layer-" + name }).addTo(map);
      layer.getElement().addEventListener("load", function () { if (name === "mask" || name === "entropy") { read(name, layer.getElement()); } });
      return layer;
    });
    map.setMaxBounds(null);
    map.setMinZoom(-20);
    map.setMaxZoom(20);
    map.invalidateSize({ animate: false, pan: false });
    map.setView([0, 0], 0, { animate: false });
    map.fitBounds(bounds, { animate: false });
    map.setMinZoom(map.getZoom());
    map.dragging.disable();
    map.setMaxZoom(map.getZoom() + 5);
    map.setMaxBounds(L.latLngBounds(bounds).pad(0.02));
    slider.max = 100 * (layers.length - 1);
    stops.forEach(function (stop, i) { stop.hidden = i >= layers.length; });
    fade(at);
  }

  /* Pictures of a long replay lie in scripts beside the page, which a page opened as a file may load. */
  page.flood = function (id, pictures) {
    loaded[id] = pictures;
    if (pending === id) { pending = null; draw(floods[shown]); }
  };

  function fetch(flood) {
    var script = document.createElement("script");
    script.src = flood.script;
    script.addEventListener("error", function () { readout.textContent = flood.script + " is missing: it belongs beside this page."; });
    document.head.appendChild(script);
  }

  function show(i) {
    shown = i;
    var flood = floods[i];
    buttons.forEach(function (button, k) {
      button.setAttribute("aria-current", String(k === i));
      button.tabIndex = k === i ? 0 : -1;
    });
    document.querySelectorAll("[data-facts]").forEach(function (facts, k) { facts.hidden = k !== i; });
    box.setAttribute("aria-label", flood.label);
    readout.textContent = "Point at the map, or move it by the arrow keys, to read its values.";
    if (flood.pictures) { loaded[flood.id] = flood.pictures; }
    if (loaded[flood.id]) { draw(flood); } else { pending = flood.id; fetch(flood); }
  }

  function step(i, focus) {
    show(page.clamp(i, 0, floods.length - 1));
    buttons[shown].scrollIntoView({ block: "nearest" });
    if (focus) { buttons[shown].focus(); }
  }

  buttons.forEach(function (button, i) {
    button.addEventListener("click", function () { show(i); });
    button.addEventListener("keydown", function (event) {
      var next = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: floods.length - 1 }[event.key];
      if (next !== undefined) { event.preventDefault(); step(next, true); }
    });
  });
  stops.forEach(function (stop, i) { stop.addEventListener("click", function () { fade(100 * i); }); });
  slider.addEventListener("input", function () { fade(Number(slider.value)); });
  /* A map that shows all of itself has nowhere to go: a finger on it moves the page. */
  map.on("zoomend", function () {
    if (map.getZoom() > map.getMinZoom() + 0.01) { map.dragging.enable(); } else { map.dragging.disable(); }
  });
  map.on("mousemove click", function (event) { tell(event.latlng); });
  map.on("moveend", function () { if (document.activeElement === box) { tell(map.getCenter()); } });
  var size = box.clientWidth + " " + box.clientHeight;
  page.onChange(function () {
    var next = box.clientWidth + " " + box.clientHeight;
    if (box.clientWidth > 0 && next !== size && shown >= 0 && loaded[floods[shown].id]) { draw(floods[shown]); }
    size = next;
  });
  page.showFlood = function (id) {
    var i = floods.findIndex(function (flood) { return flood.id === id; });
    if (i >= 0) { step(i, false); document.getElementById("floods-title").scrollIntoView(); box.focus(); }
  };
  document.querySelectorAll("[data-open-flood]").forEach(function (link) {
    link.addEventListener("click", function (event) { event.preventDefault(); page.showFlood(link.dataset.openFlood); });
  });
  map.setView([0, 0], 0);
  show(0);
}());
