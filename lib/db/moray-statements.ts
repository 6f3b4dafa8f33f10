/** Names for statements whose texts are made as they are needed. */
import { createHash } from 'node:crypto';
import type { Statement } from './moray-client/types';

/** Statements that have names; a connection keeps each of them prepared. Lists of unusual shapes go without. */
const MOST = 100;

const names = new Map<string, string>();

/** The statement with a name that stands for its text, so that the database reads and plans it once. */
export function named(text: string, values: readonly unknown[] = []): Statement {
    let name = names.get(text);
    if (name === undefined && names.size < MOST) {
        name = `imgapi-${createHash('sha1').update(text).digest('hex').slice(0, 16)}`;
        names.set(text, name);
    }
    return name === undefined ? { text, values } : { text, values, name };
}
