"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const canvas = $("bev"), g = canvas.getContext("2d"), chart = $("chart"), c = chart.getContext("2d");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let drive = null, frame = 0, timer = null, zoom = 6;

  // x, y as start and differences, in decimetres -> points in metres.
  const points = (packed, from) => {
    const out = [];
    let x = 0, y = 0;
    for (let i = from; i + 1 < packed.length; i += 2) {
      x += packed[i]; y += packed[i + 1];
      out.push([x / 10, y / 10]);
    }
    return out;
  };
  const poses = (track) => {
    const out = [];
    let x = 0, y = 0, h = 0;
    for (let k = 0; k < track.n; k++) {
      const i = 3 * k;
      if (i + 2 < track.t.length) { x += track.t[i]; y += track.t[i + 1]; h += track.t[i + 2]; }
      out.push([x / 10, y / 10, h / 100]);
    }
    return out;
  };
  const unpack = (d) => ({
    ...d,
    lanes: d.lanes.map((l) => ({ width: l[0] / 10, line: points(l, 1) })),
    areas: d.areas.map((a) => points(a, 0)), lines: d.lines.map((a) => points(a, 0)),
    crosswalks: d.crosswalks.map((a) => points(a, 0)),
    stops: d.stops.map((s) => ({ light: s[0], line: points(s, 1) })),
    agents: d.agents.map((a) => ({ ...a, poses: poses(a) })),
    plans: d.plans.map((p) => ({ frame: p[0], line: points(p, 1) })),
  });

  const trace = (line, close) => {
    g.beginPath();
    line.forEach((p, i) => (i ? g.lineTo(p[0], p[1]) : g.moveTo(p[0], p[1])));
    if (close) g.closePath();
  };
  const box = (x, y, h, l, w, fill, nose) => {
    g.save();
    g.translate(x, y); g.rotate(h);
    g.fillStyle = fill; g.strokeStyle = css("--ink"); g.lineWidth = 0.12;
    g.beginPath(); g.rect(-l / 2, -w / 2, l, w); g.fill(); g.stroke();
    if (nose) { g.beginPath(); g.moveTo(l / 2 - 0.9, -w / 2); g.lineTo(l / 2, 0); g.lineTo(l / 2 - 0.9, w / 2); g.stroke(); }
    g.restore();
  };

  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio; canvas.height = height * ratio;
    const ego = drive.agents[0], at = ego.poses[Math.min(frame, ego.poses.length - 1)];
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.fillStyle = css("--ground"); g.fillRect(0, 0, width, height);
    // Ego's heading at the start points right.
    g.translate(width * 0.42, height / 2); g.scale(zoom, -zoom); g.rotate(-ego.poses[0][2]); g.translate(-at[0], -at[1]);
    g.lineJoin = "round"; g.lineCap = "butt";
    g.fillStyle = g.strokeStyle = css("--road");
    drive.areas.forEach((a) => { trace(a, true); g.fill(); });
    drive.lanes.forEach((l) => { g.lineWidth = l.width + 0.1; trace(l.line); g.stroke(); });
    g.fillStyle = css("--mark"); g.globalAlpha = 0.3;
    drive.crosswalks.forEach((a) => { trace(a, true); g.fill(); });
    g.globalAlpha = 1; g.strokeStyle = css("--mark"); g.lineWidth = 0.15;
    drive.lines.forEach((l) => { trace(l); g.stroke(); });
    const lamp = { r: "#d9362e", y: "#e6b012", g: "#1f9d55", o: "#888" };
    drive.stops.forEach((s) => {
      g.strokeStyle = s.light < 0 ? css("--ink") : lamp[drive.lights[s.light][frame]];
      g.lineWidth = 0.6; trace(s.line); g.stroke();
    });
    const solid = ["#8f98a6", "#5f9163", "#e07b2a"];
    drive.props.forEach((p) => box(p[1] / 10, p[2] / 10, p[3] / 100, p[4] / 10, p[5] / 10, solid[p[0]], false));
    const fill = ["#7a8699", "#4a6df0", "#b07ad6", "#e0962a"];
    drive.agents.slice(1).forEach((a) => {
      if (frame < a.f || frame >= a.f + a.n) return;
      const p = a.poses[frame - a.f];
      box(p[0], p[1], p[2], a.l / 10, a.w / 10, fill[a.k], a.k < 3);
    });
    let plan = null;
    drive.plans.forEach((p) => { if (p.frame <= frame && frame - p.frame < 4) plan = p; });
    if (plan) {
      g.strokeStyle = css("--accent"); g.lineWidth = 0.35; trace(plan.line); g.stroke();
      g.fillStyle = css("--accent");
      plan.line.slice(1).forEach((p) => { g.beginPath(); g.arc(p[0], p[1], 0.4, 0, 7); g.fill(); });
    }
    box(at[0], at[1], at[2], ego.l / 10, ego.w / 10, css("--accent"), true);
    const now = frame * drive.dt;
    const said = drive.events.filter((e) => now >= e[0] && now < e[0] + 2.5).map((e) => e[1]);
    $("clock").textContent = `${now.toFixed(1)} s · ${(drive.speed[Math.min(frame, drive.speed.length - 1)] / 10).toFixed(1)} m/s`;
    $("said").textContent = said.join(", ");
    $("scrub").value = frame;
    picture(now);
    speeds();
  };

  const picture = (now) => {
    const image = $("camera");
    const shots = [...document.querySelectorAll(`[data-camera="${CSS.escape(drive.name)}"] i`)];
    let best = null;
    shots.forEach((s) => { if (Number(s.dataset.t) <= now + 0.01) best = s; });
    image.hidden = !best;
    if (best && image.src !== best.dataset.src) image.src = best.dataset.src;
  };

  const speeds = () => {
    const ratio = window.devicePixelRatio || 1, width = chart.clientWidth, height = chart.clientHeight;
    chart.width = width * ratio; chart.height = height * ratio;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, width, height);
    const top = Math.max(100, ...drive.speed), n = Math.max(1, drive.frames - 1);
    const x = (f) => (f / n) * width, y = (v) => height - 2 - (v / top) * (height - 16);
    drive.events.forEach((e) => {
      c.strokeStyle = e[2] ? `rgb(${css("--bad")})` : css("--dim"); c.lineWidth = e[2] ? 2 : 1;
      c.beginPath(); c.moveTo(x(e[0] / drive.dt), 12); c.lineTo(x(e[0] / drive.dt), height); c.stroke();
    });
    c.strokeStyle = css("--accent"); c.lineWidth = 1.5; c.beginPath();
    drive.speed.forEach((v, f) => (f ? c.lineTo(x(f), y(v)) : c.moveTo(x(f), y(v))));
    c.stroke();
    c.strokeStyle = css("--ink"); c.lineWidth = 1;
    c.beginPath(); c.moveTo(x(frame), 0); c.lineTo(x(frame), height); c.stroke();
    c.fillStyle = css("--dim"); c.font = "11px system-ui";
    c.fillText(`speed, up to ${(top / 10).toFixed(1)} m/s`, 4, 10);
  };

  const go = (to) => { frame = Math.max(0, Math.min(drive.frames - 1, Math.round(to))); draw(); };
  const stop = () => { clearInterval(timer); timer = null; $("play").textContent = "Play"; };
  const play = () => {
    if (timer) return stop();
    if (frame >= drive.frames - 1) frame = 0;
    $("play").textContent = "Pause";
    timer = setInterval(() => {
      if (frame >= drive.frames - 1) return stop();
      go(frame + 1);
    }, (1000 * drive.dt) / Number($("pace").value));
  };
  const show = (name) => {
    const data = document.querySelector(`script[data-replay="${CSS.escape(name)}"]`);
    if (!data) return false;
    stop();
    drive = unpack(JSON.parse(data.textContent));
    $("scrub").max = drive.frames - 1;
    $("playing").textContent = name;
    document.querySelectorAll("tr.shown").forEach((r) => r.classList.remove("shown"));
    const row = document.querySelector(`tr[data-route="${CSS.escape(name)}"]`);
    if (row) row.classList.add("shown");
    // Start a little before the first thing that went wrong.
    const first = drive.events.find((e) => e[2]);
    go(first ? (first[0] - 4) / drive.dt : 0);
    return true;
  };
  const fromHash = () => {
    const [route, time] = decodeURIComponent(location.hash.slice(1)).split("@");
    const row = document.querySelector(`tr[id="${CSS.escape(route)}"]`);
    const any = document.querySelector("script[data-replay]");
    const name = row && row.dataset.route || any && any.dataset.replay;
    if (name && show(name) && time) go(Number(time) / drive.dt);
  };

  if (!document.querySelector("script[data-replay]")) { $("player").hidden = true; return; }
  $("play").onclick = play;
  $("scrub").oninput = (e) => { stop(); go(Number(e.target.value)); };
  $("pace").onchange = () => { if (timer) { stop(); play(); } };
  const seek = (e) => { stop(); go((e.offsetX / chart.clientWidth) * (drive.frames - 1)); };
  chart.onpointerdown = seek;
  chart.onpointermove = (e) => { if (e.buttons) seek(e); };
  canvas.addEventListener("wheel", (e) => {
    e.preventDefault();
    zoom = Math.max(2, Math.min(24, zoom * (e.deltaY < 0 ? 1.15 : 1 / 1.15)));
    draw();
  }, { passive: false });
  document.addEventListener("keydown", (e) => {
    if (e.target.tagName === "INPUT" && e.target.type !== "range") return;
    if (e.key === " ") { e.preventDefault(); play(); }
    if (e.key === "ArrowRight") { stop(); go(frame + 1); e.preventDefault(); }
    if (e.key === "ArrowLeft") { stop(); go(frame - 1); e.preventDefault(); }
  });
  window.addEventListener("hashchange", fromHash);
  window.addEventListener("resize", () => draw());
  fromHash();
})();
