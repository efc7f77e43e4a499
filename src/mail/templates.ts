import { readFile } from 'node:fs/promises'
import { escapeHtml } from '../http/pages/html.ts'
import type { CompiledTemplates } from './compiler.ts'

/** Subject, HTML part and text part. */
export type RenderedMail = CompiledTemplates[string]

let templates: Promise<CompiledTemplates> | undefined

/**
 * The compiled templates, loaded once. A build has them in templates.json; from source they are compiled at each start, so
 * that changes in `emails/` show.
 *
 * @throws Error where a template does not compile, or templates.json is missing
 */
export function loadTemplates(): Promise<CompiledTemplates> {
  return (templates ??= import.meta.url.endsWith('.js') ? readTemplates() : compileTemplates())
}

async function readTemplates(): Promise<CompiledTemplates> {
  return JSON.parse(await readFile(new URL('templates.json', import.meta.url), 'utf8')) as CompiledTemplates
}

async function compileTemplates(): Promise<CompiledTemplates> {
  const compiler = await import('./compiler.ts')
  return compiler.compileTemplates()
}

/**
 * Fills the placeholders of a template. Values are escaped in the HTML, unchanged in the text, and without control
 * characters in the subject, where a line break would start another header (RFC 5322, 2.2).
 *
 * @param template name of its file in `emails/`
 * @throws Error where there is no such template, and for a placeholder without a value
 */
export const render = async (template: string, values: Values): Promise<RenderedMail> =>
  fillAll(await find(template), template, values)

/** The same with words in place of the link, for a mail whose link no longer works. */
export async function renderWithoutLink(template: string, values: Values): Promise<RenderedMail> {
  const compiled = await find(template)
  const html = compiled.html.replaceAll('href="{{link}}"', '')
  return fillAll({ ...compiled, html }, template, { ...values, link: '[this link no longer works]' })
}

/** The subject alone, for lists of mails. @throws Error as `render` does */
export async function renderSubject(template: string, values: Values): Promise<string> {
  const { subject } = await find(template)
  return filler(template, values)(subject, withoutControls)
}

type Values = Readonly<Record<string, string>>

async function find(template: string): Promise<RenderedMail> {
  const compiled = (await loadTemplates())[template]
  if (!compiled) throw new Error(`There is no mail template ${template}`)
  return compiled
}

function fillAll({ subject, html, text }: RenderedMail, template: string, values: Values): RenderedMail {
  const fill = filler(template, values)
  return {
    subject: fill(subject, withoutControls),
    html: fill(html, escapeHtml),
    // A section that is left out leaves its empty lines.
    text: fill(text, (value) => value)
      .replace(/\n{3,}/g, '\n\n')
      .trim(),
  }
}

/**
 * Placeholders are `{{name}}`. What stands between `{{#name}}` and `{{/name}}` is left out where the value is empty, between
 * `{{^name}}` and `{{/name}}` where it is not. Sections do not nest.
 */
const filler =
  (template: string, values: Values) => (source: string, transform: (value: string) => string) => {
    let isLeftOut = false
    const fill = (tag: string) => {
      const name = tag.replace(/^[#^/]/, '')
      const value = Object.hasOwn(values, name) ? values[name] : undefined
      if (value === undefined) throw new Error(`Mail template ${template}: no value for {{${name}}}`)
      if (name === tag) return isLeftOut ? '' : transform(value)
      isLeftOut = tag.startsWith('#') ? value === '' : tag.startsWith('^') && value !== ''
      return ''
    }
    return source
      .split(/\{\{([#^/]?\w+)\}\}/)
      .map((part, at) => (at % 2 === 1 ? fill(part) : isLeftOut ? '' : part))
      .join('')
  }

const withoutControls = (value: string) => value.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
