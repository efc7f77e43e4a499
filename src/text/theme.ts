/** Colours of pages and mails, by day and by night. Their names are those of the placeholders in mails. */
export interface Theme {
  /** Background of buttons, and the text on it. */
  readonly accent: string
  readonly on_accent: string
  readonly link_color: string
  readonly dark_accent: string
  readonly dark_on_accent: string
  readonly dark_link_color: string
}

type Rgb = readonly [red: number, green: number, blue: number]

const WHITE: Rgb = [255, 255, 255]
const BLACK: Rgb = [0, 0, 0]
/** Of the backgrounds of pages and mails the ones with the least contrast, by day and by night. */
const DAY: Rgb = [0xf4, 0xf5, 0xf7]
const NIGHT: Rgb = [0x1a, 0x1d, 0x21]

/**
 * Makes the colours of one. Texts have the contrast of WCAG 2.2, 1.4.3 (4.5 : 1) whatever the colour: links are darkened or
 * lightened until they do, and buttons have black or white text.
 *
 * @param color `#rrggbb`
 */
export function themeOf(color: string): Theme {
  const brand = rgbOf(color)
  const lighter = [brightest(brand), WHITE]
  const night = firstReadable(brand, lighter, NIGHT, 3.5)
  return {
    accent: color.toLowerCase(),
    on_accent: textOn(brand),
    link_color: hexOf(firstReadable(brand, [BLACK], DAY, 4.5)),
    dark_accent: hexOf(night),
    dark_on_accent: textOn(night),
    dark_link_color: hexOf(firstReadable(brand, lighter, NIGHT, 7)),
  }
}

/** The first colour on the way from `color` over each of `stops` that has this contrast with `background`. */
function firstReadable(color: Rgb, stops: readonly Rgb[], background: Rgb, contrast: number): Rgb {
  let from = color
  for (const to of stops) {
    for (let percent = 0; percent < 100; percent += 4) {
      const [red, green, blue] = from.map((part, at) => Math.round(part + ((to[at]! - part) * percent) / 100))
      const mixed: Rgb = [red!, green!, blue!]
      if (contrastOf(mixed, background) >= contrast) return mixed
    }
    from = to
  }
  return from
}

/** As bright as its hue can be. A colour that is mixed with white at once gets pale. */
function brightest(color: Rgb): Rgb {
  const factor = 255 / Math.max(...color, 1)
  return [Math.round(color[0] * factor), Math.round(color[1] * factor), Math.round(color[2] * factor)]
}

const textOn = (background: Rgb) => (contrastOf(WHITE, background) >= 4.5 ? '#ffffff' : '#000000')

/** WCAG 2.2: contrast ratio. */
export const contrastOf = (one: Rgb, other: Rgb): number => {
  const [light, dark] = [luminance(one), luminance(other)].toSorted((a, b) => b - a)
  return (light! + 0.05) / (dark! + 0.05)
}

/** WCAG 2.2: relative luminance. */
function luminance(color: Rgb): number {
  const [red, green, blue] = color.map((part) => {
    const share = part / 255
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
}

export const rgbOf = (color: string): Rgb => [channel(color, 1), channel(color, 3), channel(color, 5)]

const channel = (color: string, at: number) => Number.parseInt(color.slice(at, at + 2), 16)

const hexOf = (color: Rgb) => `#${color.map((part) => part.toString(16).padStart(2, '0')).join('')}`
