/** Result of a check: fine, doubtful, or wrong. */
export interface Finding {
  readonly mark: '✓' | '!' | '✗'
  /** Subject, in a word. */
  readonly about: string
  readonly text: string
  /** How to fix it. */
  readonly fix?: string | undefined
}

export const fine = (about: string, text: string): Finding => ({ mark: '✓', about, text })
export const doubtful = (about: string, text: string, fix: string): Finding => ({
  mark: '!',
  about,
  text,
  fix,
})
export const wrong = (about: string, text: string, fix?: string): Finding => ({ mark: '✗', about, text, fix })

export const lineOf = ({ mark, about, text, fix }: Finding): string =>
  `${mark} ${about.padEnd(11)} ${text}${fix === undefined ? '' : `: ${fix}`}`
