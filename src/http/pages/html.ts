/** HTML in tagged templates: what is put into it is text, and escaped, unless it is `Html` itself. */

/** Markup. What is not a constant of ours is made by `html`, which escapes. */
export class Html {
  readonly #markup: string

  constructor(markup: string) {
    this.#markup = markup
  }

  toString(): string {
    return this.#markup
  }
}

/** Nothing stands where a value is undefined or false: `${error && html`<p>${error}</p>`}`. */
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

/** Quotes too: values stand in attributes. */
export const escapeHtml = (value: string) =>
  value.replace(/[&<>"']/g, (character) => entities[character] ?? '')
