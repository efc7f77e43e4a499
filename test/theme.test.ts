import { test } from 'tap'
import { contrastOf, rgbOf, themeOf } from '../src/text/theme.ts'

const contrast = (one: string, other: string) => contrastOf(rgbOf(one), rgbOf(other))

/** Backgrounds of pages and mails (http/pages/stylesheet.ts). */
const DAY = ['#f4f5f7', '#ffffff'] as const
const NIGHT = ['#101215', '#1a1d21'] as const

void test('contrast is that of WCAG', (t) => {
  t.equal(contrast('#000000', '#ffffff'), 21)
  t.equal(contrast('#777777', '#ffffff').toFixed(2), '4.48')
  t.end()
})

void test('PROJECT_COLOR is the colour of buttons and links in the light theme', (t) => {
  t.match(themeOf('#0F6B5C'), { accent: '#0f6b5c', on_accent: '#ffffff', link_color: '#0f6b5c' })
  t.end()
})

for (const color of ['#0f6b5c', '#000000', '#ffffff', '#ffdd00', '#ff0000', '#1a1d21', '#767676', '#e0e0e0'])
  void test(`with ${color}, every text has a contrast of at least 4.5`, (t) => {
    const theme = themeOf(color)
    const texts = [
      [theme.on_accent, theme.accent],
      [theme.dark_on_accent, theme.dark_accent],
      ...DAY.map((background) => [theme.link_color, background] as const),
      ...NIGHT.map((background) => [theme.dark_link_color, background] as const),
    ] as const
    for (const [text, background] of texts)
      t.ok(contrast(text, background) >= 4.5, `${text} on ${background}`)
    t.end()
  })
