//! The page's style sheet: one column, light or dark as the reader's system asks.

/// Inline CSS.
pub const CSS: &str = "
:root{--ink:#1b2330;--dim:#667085;--paper:#f6f7f9;--card:#fff;--line:#e3e6eb;--accent:#2f6fdb;--good:22,138,92;--bad:205,66,58}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ef;--dim:#98a2b3;--paper:#12161d;--card:#1b212b;--line:#2c3542;--accent:#7aa7ff;
--good:52,178,123;--bad:232,101,92}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}
main{max-width:1040px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:24px;margin:0 0 2px}h2{font-size:18px;margin:36px 0 10px}h3{font-size:14px;margin:0;overflow-wrap:anywhere}
.dim{color:var(--dim);margin:0 0 8px;font-size:13px;overflow-wrap:anywhere}
code,pre{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:20px 0}
.tile,.panel,.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px}
.tile b{display:block;font-size:30px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile b small{font-size:15px;color:var(--dim);font-weight:500}
.panel{margin:12px 0;overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px}
th,td{padding:5px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{color:var(--dim);font-weight:600;border-bottom:1px solid var(--dim)}
tr:last-child td,tr:last-child th{border-bottom:0}tr.own td{font-weight:650}
.wide{width:100%}.wide td:first-child{white-space:normal}
.pair{display:grid;grid-template-columns:minmax(0,9fr) minmax(0,11fr);gap:12px}.pair .panel{margin:0}.pair td,.pair th{padding:5px 6px}
@media(max-width:860px){.pair{grid-template-columns:minmax(0,1fr)}}
.heat{table-layout:fixed;width:100%;min-width:440px}.heat th:first-child{width:112px}
.heat td{text-align:center;min-width:46px;padding:5px 6px;border:2px solid var(--card);border-radius:6px}.heat td.zero{color:var(--dim)}
.heat thead th{text-align:center;font-weight:500;font-size:11px;padding:4px 3px;white-space:normal}.heat th{font-weight:500;border:0}
.verdict{border-left:4px solid var(--accent);padding:8px 14px;background:var(--card);border-radius:0 8px 8px 0;margin:12px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(310px,1fr));gap:12px;align-items:start}
.card{padding:12px 14px;overflow:hidden}.card img{display:block;width:calc(100% + 28px);margin:-12px -14px 10px}
.card table{width:100%;margin:4px 0}.card th,.card td{border:0;padding:2px 8px 2px 0;text-align:left;white-space:normal}
.card th{color:var(--dim);font-weight:500;width:48px}
.right{color:rgb(var(--good));font-weight:650}.wrong{color:rgb(var(--bad));font-weight:650}.unknown{color:var(--dim)}
.bar{position:relative;height:18px;margin:1px 0;background:var(--paper);border-radius:4px;overflow:hidden;font-size:11.5px;line-height:18px}
.bar i{position:absolute;inset:0 auto 0 0;background:var(--accent);opacity:.28}.bar span{position:relative;padding-left:6px}
blockquote{margin:8px 0;padding-left:10px;border-left:3px solid var(--line);overflow-wrap:anywhere;unicode-bidi:isolate}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:6px 0 0;unicode-bidi:isolate}summary{cursor:pointer;color:var(--dim);font-size:12.5px}
.chart{width:100%;min-width:720px;height:auto}.chart text{fill:var(--ink);font-size:13px}.chart .name{text-anchor:end}
.chart .title{font-weight:600}.chart .tick{fill:var(--dim);font-size:11px;text-anchor:middle}
.chart .grid{stroke:var(--line)}.chart g line{stroke-width:3;stroke-linecap:round;opacity:.55}
.own line{stroke:var(--accent)}.own circle{fill:var(--accent)}.other line{stroke:var(--dim)}.other circle{fill:var(--dim)}
.fail{color:rgb(var(--bad));font-weight:650}.pass{color:rgb(var(--good));font-weight:650}
";
