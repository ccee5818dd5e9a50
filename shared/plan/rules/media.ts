import type { PlanPath } from '../problem.ts'
import { VARIANT_FACTS } from '../variants.ts'
import { error, repeated, warning, type Finding, type RuleContext } from './rule.ts'

/** Last part of a path of any operating system. */
function baseName(path: string): string {
  return path.split(/[/\\]/).at(-1) ?? path
}

export function checkBundles({ plan }: RuleContext): Finding[] {
  const bundles: { path: PlanPath; file: string }[] = []
  const content = plan.appliance?.content
  if (content?.bundle !== undefined)
    bundles.push({ path: ['appliance', 'content', 'bundle'], file: content.bundle })
  plan.appliance?.packs?.forEach((file, index) => {
    if (file !== undefined) bundles.push({ path: ['appliance', 'packs', index], file })
  })
  return [
    ...bundles
      .filter(({ file }) => !baseName(file).endsWith('.zst'))
      .map(({ path, file }) =>
        error(
          'bundle.zst-valid',
          path,
          `"${baseName(file)}" does not end in .zst; the appliance takes zstd bundles only.`,
          'Give the bundle as it was downloaded, for example palette-packs.tar.zst.',
        ),
      ),
    ...repeated(bundles, ({ file }) => baseName(file)).map(({ item }) =>
      error(
        'bundle.unique-name',
        item.path,
        `Two bundles are called "${baseName(item.file)}"; the second upload would replace the first.`,
        'Remove one, or rename the file.',
      ),
    ),
  ]
}

export function checkMedia({ plan, isGiven }: RuleContext): Finding[] {
  const { appliance } = plan
  if (appliance === undefined) return []
  const { variant, content, iso, sha256 } = appliance
  const findings: Finding[] = []
  if (variant !== undefined && variant !== 'auto') {
    const { needsContentBundle } = VARIANT_FACTS[variant]
    if (content != null && !needsContentBundle) {
      findings.push(
        error(
          'media.content-variant',
          ['appliance', 'content'],
          `The ISO of variant ${variant} holds its content; a separate content bundle belongs to variant D.`,
          'Remove appliance.content, or write variant: D.',
        ),
      )
    }
    if (needsContentBundle && content === null) {
      findings.push(
        warning(
          'media.content-variant',
          ['appliance'],
          'The slim ISO of variant D needs its content bundle, and the plan does not give one.',
          'Write appliance.content with bundle and signature, unless the content is on the nodes already.',
        ),
      )
    }
  }
  if (content?.signature === null && !isGiven(['appliance', 'content', 'signature'])) {
    findings.push(
      warning(
        'media.signature',
        ['appliance', 'content'],
        'The content bundle has no signature file in the plan; nobody can tell whether it is genuine.',
        'Write "signature" with the .sig.bin file that was downloaded with the bundle.',
      ),
    )
  }
  if (iso != null && sha256 === null && !isGiven(['appliance', 'sha256'])) {
    findings.push(
      warning(
        'media.sha256',
        ['appliance', 'iso'],
        'The ISO has no SHA-256 in the plan; a damaged or replaced file would not be noticed.',
        'Write appliance.sha256 with the digest that the vendor publishes.',
      ),
    )
  }
  if (iso === null && sha256 != null) {
    findings.push(
      warning(
        'media.sha256',
        ['appliance', 'sha256'],
        'There is a SHA-256 but no ISO.',
        'Write appliance.iso, or remove sha256.',
      ),
    )
  }
  return findings
}
