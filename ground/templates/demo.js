(function () {
  "use strict";
  var root = document.documentElement, maps = document.getElementById("maps");
  var probe = JSON.parse(document.getElementById("probe").textContent);
  var readout = document.getElementById("readout"), zoomText = document.getElementById("zoom");
  var body = document.body, style = body.style, pixels = null, drag = null;
  var at = { x: 0.5, y: 0.5 }, zoom = 1, left = 0, top = 0;
  root.classList.add("js");

  function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

  function bytes(text) {
    return Uint8Array.from(atob(text), function (c) { return c.charCodeAt(0); });
  }

  var entropy = bytes(probe.entropy.bytes), epistemic = bytes(probe.epistemic.bytes);

  function readMask() {
    var image = document.getElementById("mask"), canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    var context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  }

  function className() {
    if (!pixels) { return ""; }
    var column = clamp(Math.floor(at.x * pixels.width), 0, pixels.width - 1);
    var row = clamp(Math.floor(at.y * pixels.height), 0, pixels.height - 1);
    var i = 4 * (row * pixels.width + column), hex = "#";
    for (var k = 0; k < 3; k++) { hex += ("0" + pixels.data[i + k].toString(16)).slice(-2); }
    return probe.colours[hex] || "";
  }

  function place() {
    if (!probe.lonlat) { return ""; }
    var n = Math.round(Math.sqrt(probe.lonlat.length)), u = at.x * (n - 1), v = at.y * (n - 1);
    var i = Math.min(Math.floor(u), n - 2), j = Math.min(Math.floor(v), n - 2);
    u -= i; v -= j;
    function mix(k) {
      var p = probe.lonlat, o = j * n + i;
      return (1 - v) * ((1 - u) * p[o][k] + u * p[o + 1][k]) + v * ((1 - u) * p[o + n][k] + u * p[o + n + 1][k]);
    }
    var lon = (mix(0) + 540) % 360 - 180, lat = mix(1);
    return Math.abs(lat).toFixed(4) + "° " + (lat < 0 ? "S" : "N") + ", " + Math.abs(lon).toFixed(4) + "° " + (lon < 0 ? "W" : "E");
  }

  function nats(levels, top, index) {
    return levels[index] === 255 ? null : (levels[index] / 254 * top).toFixed(3);
  }

  function describe() {
    var column = clamp(Math.floor(at.x * probe.width), 0, probe.width - 1);
    var row = clamp(Math.floor(at.y * probe.height), 0, probe.height - 1);
    var index = Math.floor(row / probe.block) * probe.columns + Math.floor(column / probe.block);
    var total = nats(entropy, probe.entropy.top, index);
    var model = nats(epistemic, probe.epistemic.top, index);
    var sure = total === null ? "no uncertainty given" : "entropy " + total + " nats, of it epistemic " + model;
    return [className(), sure, place(), "row " + row + ", column " + column].filter(Boolean).join("  ·  ");
  }

  function scaleBar() {
    if (!probe.metres) { return; }
    var across = probe.metres * probe.width / zoom, limit = 0.3 * across;
    var decade = Math.pow(10, Math.floor(Math.log10(limit)));
    var metres = [5, 2, 1].map(function (m) { return m * decade; }).find(function (m) { return m <= limit; });
    style.setProperty("--bar-width", (100 * metres / across).toFixed(3) + "%");
    document.querySelectorAll(".bar b").forEach(function (b) {
      b.textContent = metres >= 1000 ? metres / 1000 + " km" : metres + " m";
    });
    body.classList.add("measured");
  }

  function show() {
    left = clamp(left, 0, 1 - 1 / zoom);
    top = clamp(top, 0, 1 - 1 / zoom);
    var values = { zoom: zoom, left: left, top: top, x: at.x, y: at.y };
    Object.keys(values).forEach(function (name) { style.setProperty("--" + name, values[name]); });
    body.classList.toggle("zoomed", zoom > 1);
    zoomText.textContent = zoom + "×";
    scaleBar();
  }

  function point(x, y) {
    at = { x: clamp(x, 0, 1), y: clamp(y, 0, 1) };
    body.classList.add("pointed");
    readout.textContent = describe();
    show();
  }

  function zoomTo(next) {
    next = clamp(next, 1, 16);
    left = at.x - (at.x - left) * zoom / next;
    top = at.y - (at.y - top) * zoom / next;
    zoom = next;
    show();
  }

  function inside(view, event) {
    var box = view.getBoundingClientRect();
    return { x: left + (event.clientX - box.left) / box.width / zoom, y: top + (event.clientY - box.top) / box.height / zoom };
  }

  document.querySelectorAll(".view").forEach(function (view) {
    view.addEventListener("pointermove", function (event) {
      if (drag) {
        var box = view.getBoundingClientRect();
        left = drag.left - (event.clientX - drag.x) / box.width / zoom;
        top = drag.top - (event.clientY - drag.y) / box.height / zoom;
        show();
        return;
      }
      var p = inside(view, event);
      point(p.x, p.y);
    });
    view.addEventListener("pointerdown", function (event) {
      var p = inside(view, event);
      point(p.x, p.y);
      if (zoom > 1) {
        drag = { x: event.clientX, y: event.clientY, left: left, top: top };
        view.setPointerCapture(event.pointerId);
      }
    });
    ["pointerup", "pointercancel"].forEach(function (name) {
      view.addEventListener(name, function () { drag = null; });
    });
    view.addEventListener("dblclick", function () { zoomTo(zoom * 2); });
    view.addEventListener("wheel", function (event) {
      if (!event.ctrlKey) { return; }
      event.preventDefault();
      zoomTo(event.deltaY < 0 ? zoom * 2 : zoom / 2);
    }, { passive: false });
  });

  maps.addEventListener("keydown", function (event) {
    var moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    var move = moves[event.key], step = (event.shiftKey ? 10 : 1) * Math.max(1, Math.round(16 / zoom));
    if (event.target !== maps) { return; }
    if (move) {
      point(at.x + move[0] * step / probe.width, at.y + move[1] * step / probe.height);
      var half = 0.5 / zoom;
      if (zoom > 1) { left = at.x - half; top = at.y - half; show(); }
    } else if (event.key === "+" || event.key === "=") { zoomTo(zoom * 2);
    } else if (event.key === "-") { zoomTo(zoom / 2);
    } else if (event.key === "0") { zoomTo(1);
    } else { return; }
    event.preventDefault();
  });

  document.querySelectorAll("[data-zoom]").forEach(function (button) {
    button.addEventListener("click", function () {
      zoomTo({ "in": zoom * 2, out: zoom / 2, reset: 1 }[button.dataset.zoom]);
    });
  });

  var fade = document.getElementById("fade");
  if (fade) {
    fade.addEventListener("input", function () { style.setProperty("--fade", fade.value / 100); });
  }
  var mask = document.getElementById("mask");
  if (mask.complete && mask.naturalWidth) { readMask(); } else { mask.addEventListener("load", readMask); }
  show();
}());
