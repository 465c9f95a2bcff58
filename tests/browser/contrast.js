// Contrasts as WCAG 2.2 defines them: of text with its ground, of drawn shapes with theirs.
(() => {
  const channels = colour => (colour.match(/[\d.]+/g) || []).map(Number);
  const light = value => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const [r, g, b, alpha = 1] = channels(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [r, g, b];
    }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
  };
  const faults = [];
  const hold = (element, colour, least, what) => {
    const found = ratio(channels(colour), ground(element));
    if (found < least)
      faults.push(`${what} ${element.className.baseVal ?? element.className}: ${found.toFixed(2)}`);
  };
  let texts = 0, shapes = 0;
  for (const element of document.querySelectorAll('body *')) {
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const own = [...element.childNodes].some(
      node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (element.tagName === 'text') {
      hold(element, style.fill, 4.5, 'text of a drawing');
      texts += 1;
    } else if (own && !['title', 'desc'].includes(element.tagName)) {
      hold(element, style.color, 4.5, element.tagName);
      texts += 1;
    } else if (element.tagName === 'rect' && !element.classList.contains('pending')) {
      hold(element, style.fill, 3, 'shape');
      shapes += 1;
    }
  }
  return {texts, shapes, faults: [...new Set(faults)]};
})()
