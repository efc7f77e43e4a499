import { readdir, readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What is sent, with `{{name}}` where values go. Keyed by the name of the message's file. */
export type CompiledTemplates = Record<string, { subject: string; html: string; text: string }>

const emails = new URL('../../emails/', import.meta.url)

/**
 * Compiles every message of a folder, `emails/` unless told otherwise. Folders inside it hold what they include.
 *
 * For the build and for development: MJML is not installed in production.
 *
 * @throws Error naming the file whose MJML is not valid, includes a part that is missing, or has no title.
 */
export async function compileTemplates(folder = emails): Promise<CompiledTemplates> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.mjml')).toSorted()
  const compiled = files.map(
    async (file) => [basename(file, '.mjml'), await compileFile(new URL(file, folder))] as const,
  )
  return Object.fromEntries(await Promise.all(compiled))
}

async function compileFile(url: URL) {
  const { default: compileMjml } = await import('mjml')
  const filePath = fileURLToPath(url)
  try {
    const { html } = await compileMjml(await readFile(url, 'utf8'), {
      filePath,
      ignoreIncludes: false,
      keepComments: false,
      // Prettier writes `{{ name }}` in text.
      preprocessors: [(mjml) => mjml.replace(/\{\{\s*(\w+)\s*\}\}/g, '{{$1}}')],
      validationLevel: 'strict',
      // By default MJML links Google's copy of any font that it knows (Roboto) and that a stack names.
      fonts: {},
    })
    // MJML's strictness lets this one pass: it leaves a comment where a part should stand.
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
  // MJML ends a button's label with a line break, which would stand before the colon.
  return convert(html.replace(/(?<!\s)\s+<\/a>/g, '</a>'), {
    // Values are longer than their placeholders: this leaves them room before a line gets uncomfortable.
    wordwrap: 68,
    selectors: [
      { selector: 'h1', options: { uppercase: false, leadingLineBreaks: 2 } },
      { selector: 'a', format: 'link' },
      { selector: 'div[style*="display:none"]', format: 'skip' },
      { selector: '.html-only', format: 'skip' },
    ],
    formatters: {
      // The address gets a line of its own: clients then find where it ends, and it is easy to copy.
      link(element, walk, builder) {
        walk(element.children, builder)
        builder.addInline(':')
        builder.addLineBreak()
        builder.addInline(String(element.attribs.href), { noWordTransform: true })
      },
    },
  })
}
