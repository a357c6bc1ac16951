return {call('GET', k('modes:v')) or '0', call('HGETALL', k('modes'))}
