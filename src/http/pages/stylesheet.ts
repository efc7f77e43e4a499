import type { Theme } from '../../text/theme.ts'

/** Styles of the service's pages: the same colours as its mails, light or dark by the reader's preference. */
export const stylesheet = (theme: Theme) => `
:root {
  color-scheme: light dark;
  --page: #f4f5f7; --card: #fff; --line: #e3e5e9; --field: #8a929c;
  --text: #1b1f24; --note: #59616b; --error: #b3261e;
  --accent: ${theme.accent}; --on-accent: ${theme.on_accent}; --link: ${theme.link_color};
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #101215; --card: #1a1d21; --line: #2d3238; --field: #7d8692;
    --text: #eceef0; --note: #a3abb5; --error: #ff9a90;
    --accent: ${theme.dark_accent}; --on-accent: ${theme.dark_on_accent}; --link: ${theme.dark_link_color};
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 40px 16px; max-width: 616px;
  background: var(--page); color: var(--text);
  font: 16px/26px -apple-system, BlinkMacSystemFont, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif;
}
body.wide { max-width: 900px; }
header { margin: 0 0 20px; font-size: 18px; font-weight: 600; }
header img { display: block; max-width: 100%; }
footer { margin: 20px 0 0; }
main, .card { padding: 36px; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.wide main { padding: 0; background: none; border: 0; }
.wide .card { padding: 16px 20px; }
h1 { margin: 0 0 16px; font-size: 24px; line-height: 32px; font-weight: 600; letter-spacing: -0.2px; overflow-wrap: anywhere; }
h2 { margin: 28px 0 12px; font-size: 18px; font-weight: 600; }
p { margin: 0 0 16px; }
main > :last-child, form > :last-child { margin-bottom: 0; }
a { color: var(--link); }
a:focus-visible, button:focus-visible, input:focus-visible, iframe:focus-visible {
  outline: 3px solid var(--link); outline-offset: 2px;
}
.note, .hint { color: var(--note); font-size: 14px; line-height: 22px; }
.hint { margin: 0 0 8px; }
.error { margin: 0 0 8px; color: var(--error); font-weight: 600; }
label { display: block; font-weight: 600; }
input {
  display: block; width: 100%; margin: 0 0 24px; padding: 11px 12px;
  border: 1px solid var(--field); border-radius: 8px; background: var(--card); color: var(--text); font: inherit;
}
input[readonly] { padding: 0; border: 0; border-radius: 0; background: none; }
input[aria-invalid] { border: 2px solid var(--error); padding: 10px 11px; }
form { margin-top: 24px; }
button, a.button {
  display: inline-block; padding: 14px 28px; border: 0; border-radius: 8px; cursor: pointer;
  background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; line-height: 20px; text-decoration: none;
}
button.quiet {
  display: block; margin: -16px 0 24px; padding: 4px 0;
  background: none; color: var(--link); font-size: 14px; font-weight: 400; text-decoration: underline;
}
.bar { display: flex; flex-wrap: wrap; gap: 12px; align-items: center; margin: 0 0 16px; }
.bar form { display: flex; flex: 1 1 260px; gap: 8px; margin: 0; }
.bar form + form { flex: 0 0 auto; }
.bar input { margin: 0; }
.bar button { padding: 11px 18px; white-space: nowrap; }
.bar button.quiet { margin: 0; padding: 11px 0; }
ul.mails { margin: 0 0 16px; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: 12px; overflow: hidden; }
.mails li + li { border-top: 1px solid var(--line); }
.mails a {
  display: grid; grid-template-columns: 1fr auto; gap: 0 16px; padding: 14px 20px;
  background: var(--card); color: var(--text); text-decoration: none;
}
.mails a:hover strong { text-decoration: underline; }
.mails a:focus-visible { outline-offset: -3px; }
.mails strong { font-weight: 600; overflow-wrap: anywhere; }
.mails span { grid-column: 1 / -1; color: var(--note); font-size: 14px; overflow-wrap: anywhere; }
time { color: var(--note); font-size: 14px; white-space: nowrap; font-variant-numeric: tabular-nums; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 4px 20px; margin: 0; font-size: 14px; line-height: 22px; }
dt { color: var(--note); }
dd { margin: 0; overflow-wrap: anywhere; }
dd time { color: inherit; white-space: normal; }
p.dead { margin: 20px 0; }
.qr svg { display: block; width: 220px; max-width: 100%; margin: 0 0 16px; border-radius: 8px; }
iframe { display: block; width: 100%; height: 760px; resize: vertical; border: 1px solid var(--line); border-radius: 12px; }
pre { margin: 0; font: 14px/22px ui-monospace, Menlo, Consolas, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 479px) {
  body { padding-top: 24px; }
  main { padding: 24px; }
  .mails a { grid-template-columns: 1fr; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 6px; }
}
@media (forced-colors: active) { button, a.button { border: 1px solid; } }
`
