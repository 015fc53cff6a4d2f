// Looks at each page of the site in Chromium, narrow and wide, light and dark: has it a heading, does nothing stick out to
// the right, do its pictures load, does each of its links lead to a page and an anchor that exist?
// SCREENSHOTS names a folder in which to leave pictures of the pages.
import { existsSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { chromium } from 'playwright-core'

const site = resolve(import.meta.dirname, '../../site')
const origin = 'http://site.test'
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const looks = [390, 1440].flatMap((width) => ['light', 'dark'].map((colorScheme) => ({ width, colorScheme })))

if (!existsSync(executablePath)) {
  console.log(`${executablePath} does not exist (CHROMIUM names another): nobody has looked at the site`)
  process.exit()
}

const wrong = new Set()
const ids = new Map() // of each page
const links = []
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
const page = await browser.newPage()
await page.route('**/*', (route) => {
  const path = new URL(route.request().url()).pathname
  return route.request().url().startsWith(origin) ? route.fulfill({ path: site + path }) : route.abort()
})

for (const name of readdirSync(site).filter((file) => file.endsWith('.html') && file !== '404.html')) {
  const complain = (text) => wrong.add(`${name}: ${text}`)
  const onConsole = (message) => message.type() === 'error' && complain(message.text())
  page.on('console', onConsole)
  await page.goto(`${origin}/${name}`)
  if (!(await page.locator('h1').first().isVisible())) complain('no heading can be seen')

  const backgrounds = new Set()
  for (const { width, colorScheme } of looks) {
    await page.setViewportSize({ width, height: 1000 })
    await page.emulateMedia({ colorScheme })
    const seen = await page.evaluate(() => ({
      width: document.documentElement.scrollWidth,
      background: getComputedStyle(document.body).backgroundColor,
    }))
    if (seen.width > width) complain(`${seen.width} px wide in a window of ${width} px`)
    backgrounds.add(`${colorScheme} ${seen.background}`)
    if (process.env.SCREENSHOTS) {
      const file = name.replace('.html', `-${width}-${colorScheme}.png`)
      await page.screenshot({ path: resolve(process.env.SCREENSHOTS, file) })
    }
  }
  if (new Set([...backgrounds].map((b) => b.replace(/^\w+ /, ''))).size !== 2) complain('dark looks as light')

  const found = await page.evaluate(() => ({
    ids: [...document.querySelectorAll('[id]')].map((e) => e.id),
    links: [...document.querySelectorAll('a[href]')].map((e) => e.href),
    broken: [...document.images].filter((i) => !i.complete || i.naturalWidth === 0).map((i) => i.src),
  }))
  found.broken.forEach((src) => complain(`the picture ${src} does not load`))
  ids.set(`/${name}`, new Set(found.ids))
  links.push(...found.links.map((href) => ({ complain, url: new URL(href) })))
  page.off('console', onConsole)
}
await browser.close()

for (const { complain, url } of links.filter(({ url }) => url.origin === origin)) {
  const anchors = ids.get(url.pathname === '/' ? '/index.html' : url.pathname)
  if (!anchors) complain(`nothing is at ${url.pathname}`)
  else if (url.hash && !anchors.has(decodeURIComponent(url.hash.slice(1)))) complain(`no ${url.hash} in ${url.pathname}`)
}
console.log(`looked at ${ids.size} pages and ${links.length} links`)
if (wrong.size) {
  console.error([...wrong].join('\n'))
  process.exitCode = 1
}
