import { stringify } from 'yaml'

/** Text of a cloud-config of Kairos with one step of the stage that comes before the network (palette.md §6.2). */
export function cloudConfig(step: Record<string, unknown>): string {
  return `#cloud-config\n${stringify({ stages: { initramfs: [step] } }, { lineWidth: 0 })}`
}
