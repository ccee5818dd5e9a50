import process from 'node:process'

/** How the operator calls Landfall, for commands that are shown to be typed: through npm in a clone, else by name. */
export function ownCommand(env: NodeJS.ProcessEnv = process.env): string {
  return env['npm_lifecycle_event'] === undefined ? 'landfall' : 'npm run -s landfall --'
}
