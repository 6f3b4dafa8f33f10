import type Logger from 'bunyan';
import type { KeySource } from './key-source';
import { parseKey, type KeyRing, type VerifyKey } from './keys';

/** The keys of `config.authKeys`; they change with a restart only (auth.md §5). */
export function configKeys(authKeys: Readonly<Record<string, readonly string[]>>, log: Logger): KeySource {
    let keys: KeyRing = new Map();
    return {
        name: 'authKeys',
        get keys() {
            return keys;
        },
        open: () => {
            keys = new Map(
                Object.entries(authKeys).map(([user, lines]) => [user, parsed(user, lines, log)] as const),
            );
            return Promise.resolve();
        },
        close: () => Promise.resolve(),
        reload: () => Promise.resolve(),
    };
}

function parsed(user: string, lines: readonly string[], log: Logger): VerifyKey[] {
    const keys: VerifyKey[] = [];
    for (const [index, line] of lines.entries()) {
        try {
            keys.push(parseKey(line));
        } catch (err) {
            log.warn({ err, user, index }, 'a key in authKeys cannot be used and is skipped');
        }
    }
    return keys;
}
