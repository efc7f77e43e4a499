import { hashOf, policyText } from './web-page.ts'

/**
 * For a single-page app: scripts and connections of this origin alone, styles also in the page, as libraries of components
 * write them there, and pictures from anywhere.
 */
const POLICY = {
  'default-src': "'self'",
  'style-src': "'self' 'unsafe-inline'",
  'img-src': "'self' data: blob: https:",
  'font-src': "'self' data:",
  'worker-src': "'self' blob:",
  'object-src': "'none'",
  'form-action': "'self'",
  'base-uri': "'self'",
  'frame-ancestors': "'none'",
}

/** @param page index.html, whose own scripts are allowed by their hashes */
export function frontendPolicy(page: string): string {
  const scripts = [...page.matchAll(/<script\b[^>]*>([^]*?)<\/script/gi)].map(([, text]) => text!)
  const hashes = scripts.filter((text) => text.trim() !== '').map(hashOf)
  return policyText({ ...POLICY, 'script-src': ["'self'", ...hashes].join(' ') })
}

/** Folders in which every file has a hash in its name: SvelteKit, Next. */
const HASHED_FOLDER = /^(?:_app\/immutable|_next\/static)\//

/** 8 or more hexadecimal digits behind a dot (webpack), or 8 capitals and digits (esbuild, Angular). A date is none. */
const HASH = /\.(?=\d*[a-f])[\da-f]{8,32}\.|-(?=\d*[A-Z])[A-Z\d]{8}\./

/** That of Vite and Rollup: 8 signs, in the folder `assets`. A word, a date or `1024x768` is none. */
const HASH_OF_VITE = /-(?!\d+x\d+\.)(?=[\d_-]{0,7}[A-Za-z])(?=[a-z-]{0,7}[A-Z\d_])[\w-]{8}\.\w+$/

/** Whether a file never changes under its name, so that browsers may keep it. In doubt not: they ask each time then. */
export function isHashed(path: string): boolean {
  const [folder, name] = [path.slice(0, path.lastIndexOf('/') + 1), path.slice(path.lastIndexOf('/') + 1)]
  return (
    HASHED_FOLDER.test(path) ||
    HASH.test(name) ||
    (/(?:^|\/)assets\/$/.test(folder) && HASH_OF_VITE.test(name))
  )
}
