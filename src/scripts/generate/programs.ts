import { execFileSync } from 'node:child_process'

/** Other programs that the generator runs. */

export const git = (...args: string[]) =>
  execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()

/** @throws Error with all that a script of package.json printed, where it fails */
export function npmRun(script: string, ...args: string[]): void {
  try {
    execFileSync('npm', ['run', '--silent', script, ...(args.length > 0 ? ['--', ...args] : [])], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: process.platform === 'win32', // npm is no program there
    })
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    throw new Error(`npm run ${script} failed:\n${stdout}${stderr}`.trim(), { cause: error })
  }
}

/** What is generated can be told from other changes, and be taken back. */
export function checkNothingUncommitted(): void {
  if (git('status', '--porcelain') !== '')
    throw new Error(
      'there are changes that are not committed: commit them first, or git stash --include-untracked',
    )
}

/** Where `work` fails, files below `paths` are again as they were committed. */
export async function orRestore(paths: readonly string[], work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const tracked = git('ls-files', '--', ...paths)
      .split('\n')
      .filter(Boolean)
    if (tracked.length > 0) git('restore', '--', ...tracked)
    git('clean', '--force', '--quiet', '--', ...paths)
    throw error
  }
}
