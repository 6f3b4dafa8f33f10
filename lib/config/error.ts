/** A configuration the server cannot start with; the message names the key, its value and what would be right. */
export class ConfigError extends Error {
    override readonly name = 'ConfigError';

    /** Wraps a reason in the prefix every rejected configuration has (config.md §1). */
    static invalid(reason: string): ConfigError {
        return new ConfigError(`invalid IMGAPI config: ${reason}`);
    }
}
