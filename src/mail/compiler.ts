import { readdir, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Theme } from '../text/theme.ts'

/** By the name of the message's file, with `{{name}}` for each value. */
export type CompiledTemplates = Record<string, { subject: string; html: string; text: string }>

const emails = new URL('../../emails/', import.meta.url)

/**
 * Compiles the messages of a folder; its subfolders have the parts that they include. For builds and development: MJML is
 * not installed in production.
 *
 * @throws Error that names the file where its MJML is invalid, a part that it includes is missing, or it has no title
 */
export async function compileTemplates(folder = emails): Promise<CompiledTemplates> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.mjml')).toSorted()
  const compiled = files.map(
    async (file) => [basename(file, '.mjml'), await compileFile(new URL(file, folder))] as const,
  )
  return Object.fromEntries(await Promise.all(compiled))
}

/** MJML takes no placeholders for colours: `#000001` of parts/head.mjml becomes the first of these, and so on. */
const colors = [
  'accent',
  'on_accent',
  'link_color',
  'dark_accent',
  'dark_on_accent',
  'dark_link_color',
] as const satisfies readonly (keyof Theme)[]

async function compileFile(url: URL) {
  const { default: compileMjml } = await import('mjml')
  const filePath = fileURLToPath(url)
  try {
    const { html: compiled } = await compileMjml(await readFile(url, 'utf8'), {
      filePath,
      ignoreIncludes: false,
      keepComments: false,
      // Prettier writes `{{ name }}` in text.
      preprocessors: [(mjml) => mjml.replace(/\{\{\s*([#^/]?\w+)\s*\}\}/g, '{{$1}}')],
      validationLevel: 'strict',
      // By default MJML loads fonts that it knows (Roboto) from Google.
      fonts: {},
    })
    const html = compiled.replace(
      /#00000([1-6])\b/g,
      (_, number: string) => `{{${colors[Number(number) - 1]}}}`,
    )
    // MJML only leaves a comment in place of a missing part, in strict mode too.
    if (html.includes('mj-include denied')) throw new Error('a part that it includes is missing')
    return { subject: await subjectOf(html), html, text: await textOf(html) }
  } catch (error) {
    throw new Error(`${basename(filePath)}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
}

async function subjectOf(html: string): Promise<string> {
  const { convert } = await import('html-to-text')
  const titles = { selectors: ['title'], returnDomByDefault: false }
  const subject = convert(html, { baseElements: titles, wordwrap: false })
  if (!subject) throw new Error('mj-title is missing; it is the subject')
  return subject
}

async function textOf(html: string): Promise<string> {
  const { convert } = await import('html-to-text')
  // MJML ends the label of a button with a line break, which would come before the colon.
  return convert(html.replace(/(?<!\s)\s+<\/a>/g, '</a>'), {
    // Values are longer than their placeholders: lines of 68 leave them room.
    wordwrap: 68,
    selectors: [
      { selector: 'h1', options: { uppercase: false, leadingLineBreaks: 2 } },
      { selector: 'a', format: 'link' },
      { selector: 'img', format: 'alt' },
      { selector: 'div[style*="display:none"]', format: 'skip' },
      { selector: '.html-only', format: 'skip' },
    ],
    formatters: {
      alt(element, _walk, builder) {
        builder.addInline(String(element.attribs.alt))
      },
      // The URL has a line of its own, so that mail programs find its end, and it is easy to copy.
      link(element, walk, builder) {
        walk(element.children, builder)
        // Its text is the address.
        if (element.attribs.href === '{{support_link}}') return
        builder.addInline(':')
        builder.addLineBreak()
        builder.addInline(String(element.attribs.href), { noWordTransform: true })
      },
    },
  })
}
