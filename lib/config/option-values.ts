/** What the texts of a command line or of environment variables mean. */
import type { ValueKind } from './server-options';

/**
 * The value of a text, as the key takes it. A plain number is seconds where a time is wanted, and bytes where a size is
 * (daemon.md §1). A text that makes no sense is left as it is for validation to refuse.
 */
export function readValue(kind: ValueKind, text: string): unknown {
    switch (kind) {
        case 'number':
        case 'size':
            return /^\d+$/.test(text) ? Number(text) : text;
        case 'time':
            return /^\d+(\.\d+)?$/.test(text) ? `${text}s` : text;
        case 'list':
            return text.split(',').map((entry) => entry.trim());
        case 'on':
            return true;
        case 'text':
            return text;
    }
}
