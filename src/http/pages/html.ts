/** HTML in tagged templates. Values are escaped, unless they are `Html`. */

/** Markup: a constant, or made by `html`, which escapes its values. */
export class Html {
  readonly #markup: string

  constructor(markup: string) {
    this.#markup = markup
  }

  toString(): string {
    return this.#markup
  }
}

/** undefined and false render nothing: `${error && html`<p>${error}</p>`}`. */
type Part = Html | string | number | undefined | false | readonly Part[]

/** Markup from a template whose values are escaped. Attributes need quotes around them. */
export const html = (markup: TemplateStringsArray, ...parts: Part[]): Html =>
  new Html(String.raw({ raw: markup }, ...parts.map(markupOf)))

function markupOf(part: Part): string {
  if (part === undefined || part === false) return ''
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part))
  return part instanceof Html ? String(part) : part.map(markupOf).join('')
}

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Escapes quotes too, as values stand in attributes. */
export const escapeHtml = (value: string) =>
  value.replace(/[&<>"']/g, (character) => entities[character] ?? '')
