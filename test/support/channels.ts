/** Channels for servers that have some. */

export const DEFAULT_CHANNEL = 'dev';
export const OTHER_CHANNEL = 'release';

export const CHANNELS = [
    { name: DEFAULT_CHANNEL, description: 'Anything.', default: true },
    { name: OTHER_CHANNEL, description: 'What is done.' },
];
