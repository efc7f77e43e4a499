import { readFileSync } from 'node:fs'

/** The blocks of shell commands below a heading of docs/operations.md. */
export function commandsOf(heading: string): string[] {
  const [, section = ''] = readFileSync('docs/operations.md', 'utf8').split(`\n### ${heading}\n`)
  const [text = ''] = section.split(/\n##/)
  return [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, commands = '']) => commands.trim())
}

/** Whether a service says of itself what is asked, within a minute. */
export async function becomes(url: string, status: number): Promise<boolean> {
  for (const end = Date.now() + 60_000; Date.now() < end;) {
    if ((await statusOf(url)) === status) return true
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return false
}

/** 0 where nobody answers. */
export const statusOf = (url: string): Promise<number> =>
  fetch(url).then(
    (answer) => answer.status,
    () => 0,
  )
