import { readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const foreignFolders = new Set(['node_modules', '.git', '.tsc', 'coverage', 'out', 'test-results'])

/** Absolute path of a file of the project. */
export function projectFile(path: string): string {
  return join(root, path)
}

/** Files below a folder of the project whose name has this ending; with `/`, relative to the project. */
export function projectFiles(folder: string, ending: string): string[] {
  const found: string[] = []
  const walk = (absolute: string) => {
    for (const entry of readdirSync(absolute, { withFileTypes: true })) {
      if (foreignFolders.has(entry.name)) continue
      const path = join(absolute, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.name.endsWith(ending)) found.push(relative(root, path).split(sep).join('/'))
    }
  }
  walk(join(root, folder))
  return found.toSorted()
}
