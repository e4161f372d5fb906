import { formatCount, formatSize } from '../../cache/amount.ts';
import { parseTime } from '../../cache/time.ts';

/** `2 blobs (118.4 MiB)` */
export function formatBlobs(blobs: readonly { readonly size: number }[]): string {
  return `${formatCount(blobs.length, 'blob')} (${formatSize(blobs.reduce((sum, { size }) => sum + size, 0))})`;
}

/** `2026-11-20 22:34 +01:00` in the time zone of this machine, `2026-11-20 21:34 UTC` where that is UTC; any other text as it is. */
export function formatDate(date: Date | string): string {
  const text = typeof date === 'string' ? date : date.toISOString();
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(text) ? parseTime(text) : undefined;
  if (time === undefined) return text;
  const offset = -new Date(time).getTimezoneOffset();
  const local = new Date(time + offset * 60_000).toISOString();
  return `${local.slice(0, 10)} ${local.slice(11, 16)} ${offset === 0 ? 'UTC' : formatOffset(offset)}`;
}

/** @param offset from UTC, in minutes */
function formatOffset(offset: number): string {
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
  return `${offset < 0 ? '-' : '+'}${String(hours).padStart(2, '0')}:${String(minutes).padStart(2, '0')}`;
}

/** `1:05`, `2:03:09` */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${hours > 0 ? String(minutes).padStart(2, '0') : minutes}:${String(rest).padStart(2, '0')}`;
  return hours > 0 ? `${hours}:${tail}` : tail;
}

/** Orders rows of a table of releases by the column `URL OR KEY`. */
export function byUrlOrKey(a: Release, b: Release): number {
  const [first, second] = [a.softwareUrl ?? a.key, b.softwareUrl ?? b.key];
  return first < second ? -1 : Number(first > second);
}

interface Release {
  readonly softwareUrl?: string | undefined;
  readonly key: string;
}
