/** Keys of nested settings by their path, such as `tls.port`. */
import type { Settings } from './rules';

const isBlock = (value: unknown): value is Settings =>
    typeof value === 'object' && value !== null && !Array.isArray(value);

/** Whether the settings have the key. */
export function hasKey(settings: Settings, path: string): boolean {
    let value: unknown = settings;
    for (const name of path.split('.')) {
        if (!isBlock(value) || !Object.hasOwn(value, name)) {
            return false;
        }
        value = value[name];
    }
    return true;
}

/** A copy of the settings with the key set. What stands where a block has to be, and is none, is left to be refused. */
export function withKey(settings: Settings, path: string, value: unknown): Settings {
    const [name = '', ...rest] = path.split('.');
    if (rest.length === 0) {
        return { ...settings, [name]: value };
    }
    const block = settings[name] ?? {};
    return isBlock(block) ? { ...settings, [name]: withKey(block, rest.join('.'), value) } : settings;
}
